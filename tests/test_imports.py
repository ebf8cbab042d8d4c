"""Imports run downhill, and the plugin's own import stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "harness"

# A module may import what stands in its own line or above.
LAYERS = [
    {"errors", "records", "sanitize", "stats"},
    {"yaml_source", "prices", "templates"},
    {"validation"},
    {"checks"},
    {"golden"},
    {"config"},
    {"routes"},
    {"store", "verdict", "schemas"},
    {"client", "baseline", "testing"},
    {"runner", "project", "checking"},
    {"session"},
    {"marked", "reporting", "xdist_scheduler"},
    {"cli", "plugin"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
PURE = {"stats", "verdict", "checks", "records"}
EFFECTS = {"os", "subprocess", "socket", "asyncio", "litellm", "tempfile", "shutil", "urllib"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).parts
        name = place[0].removesuffix(".py")
        if name != "__init__":
            yield pytest.param(path, name, id="/".join(place))


@pytest.mark.parametrize(("path", "name"), list(modules()))
def test_imports_run_downhill(path, name):
    for module in imports(path):
        if module.startswith("harness."):
            other = module.split(".")[1]
            assert RANK[other] <= RANK[name], f"{name} imports {other}, which stands above it"


@pytest.mark.parametrize(("path", "name"), list(modules()))
def test_pure_modules_do_no_io_and_pytest_stays_in_the_plugin(path, name):
    found = {module.split(".")[0] for module in imports(path)}

    assert name not in PURE or not found & EFFECTS
    assert name == "plugin" or "pytest" not in found
    assert path.name == "litellm_client.py" or "litellm" not in found


def loaded_after(code, *heavy):
    script = f"import sys; {code}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


HEAVY = (
    "litellm",
    "pandas",
    "scipy",
    "jinja2",
    "pydantic",
    "yaml",
    "click",
    "asyncio",
    "sqlite3",
    "tabulate",
)


def test_the_plugins_import_is_the_standard_library_and_pytest():
    before = loaded_after("import pytest", *HEAVY)

    assert loaded_after("import harness.plugin", *HEAVY) == before


def test_help_and_check_never_import_litellm():
    for arguments in (["-h"], ["check"], ["routes"]):
        code = f"import harness.cli as c; c.main({arguments!r}, standalone_mode=False)"
        assert loaded_after(code, "litellm", "asyncio", "pandas", "scipy") in ([], ["asyncio"])


def test_the_command_line_starts_without_pydantic():
    assert loaded_after("import harness.cli", "pydantic", "yaml", "jinja2", "litellm") == []
