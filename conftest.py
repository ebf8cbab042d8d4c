"""Root conftest: the tools our own tests use, and the docstring examples of the package as tests."""

from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("untimed", deadline=None)  # tests never assert on time
settings.load_profile("untimed")
