"""The committed JSON schemas are those of the code, and agree with it about files."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from harness.checks import CHECKS
from harness.golden import golden_files
from harness.schemas import FILES, schema_text
from harness.yaml_source import read_yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", FILES)
def test_the_committed_schema_is_the_generated_one(kind):
    committed = (ROOT / "harness" / "schemas" / FILES[kind]).read_text()

    assert committed == schema_text(kind), f"renew it: harness schema {kind} > harness/schemas/{FILES[kind]}"


def validator(kind):
    import json

    return jsonschema.Draft202012Validator(json.loads(schema_text(kind)))


@pytest.mark.parametrize("path", golden_files(ROOT / "golden"), ids=lambda path: path.stem)
def test_editors_accept_every_golden_task(path):
    assert list(validator("golden").iter_errors(read_yaml(path).data)) == []


def test_editors_accept_the_shipped_config():
    data = read_yaml(ROOT / "providers.yaml", aliases=True).data

    assert list(validator("providers").iter_errors(data)) == []


GOOD = {"task": "x", "tier": "T1", "category": "c", "prompt": "p", "cases": [{"id": "a"}]}


@pytest.mark.parametrize(
    ("check", "valid"),
    [
        ({"equals": "x"}, True),
        ({"number": "{{ expect }}"}, True),
        ({"number": {"value": "{{ expect }}", "tolerance": 1}}, True),
        ({"number": {"vlaue": 1}}, False),
        ({"nmber": 1}, False),
        ({"any": [{"equals": "x"}, {"not": {"contains": "y"}}]}, True),
        ({"any": [{"equls": "x"}]}, False),
        ({"equals": "x", "number": 1}, False),
    ],
)
def test_editors_know_the_checks(check, valid):
    errors = list(validator("golden").iter_errors(GOOD | {"checks": [check]}))

    assert (not errors) == valid


def test_every_check_is_in_the_schema():
    text = schema_text("golden")

    assert all(f'"{name}"' in text for name in CHECKS)
