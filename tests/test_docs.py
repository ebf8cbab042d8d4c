"""The documentation names everything a user can type."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from harness import plugin
from harness.checks import CHECKS, COMBINATORS
from harness.cli import main
from harness.config import (
    AgentSpec,
    CategorySpec,
    HarnessSpec,
    ModelFacts,
    Params,
    PolicySpec,
    PriceSpec,
    TierSpec,
)
from harness.golden import TaskSpec

ROOT = Path(__file__).parents[1]
RUNNING, PROVIDERS, GOLDEN = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("running", "providers", "golden-tasks")
)


def commands(group, prefix="harness"):
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.mark.parametrize(("name", "command"), list(commands(main)))
def test_every_command_is_documented_with_its_options_and_has_help(name, command):
    line = next((line for line in RUNNING.splitlines() if f"`{name}" in line), "")

    assert line, f"{name} is not in docs/running.md"
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert any(f in line for f in option.opts), f"{name} {option.opts} is not in docs/running.md"


@pytest.mark.parametrize("option", plugin.OPTIONS)
def test_every_pytest_option_is_documented(option):
    assert f"`--{option}" in RUNNING


@pytest.mark.parametrize("check", [*CHECKS, *COMBINATORS])
def test_every_check_is_documented(check):
    assert f"`{check}`" in GOLDEN


@pytest.mark.parametrize(
    ("model", "page"),
    [(TaskSpec, GOLDEN)]
    + [
        (model, PROVIDERS)
        for model in (
            HarnessSpec,
            TierSpec,
            Params,
            AgentSpec,
            CategorySpec,
            ModelFacts,
            PolicySpec,
            PriceSpec,
        )
    ],
)
def test_every_key_is_documented(model: type[BaseModel], page):
    words = set(re.findall(r"[a-z_]+", page))

    assert set(model.model_fields) <= words


def test_every_link_between_the_pages_leads_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
