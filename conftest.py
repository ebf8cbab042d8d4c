"""Root conftest: what pytest wants to hear of in the root alone."""

pytest_plugins = ["pytester"]
