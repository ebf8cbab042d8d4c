"""Root conftest: the tools our own tests use, and the docstring examples of the package as tests."""

pytest_plugins = ["pytester"]
