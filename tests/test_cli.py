"""The command line: results on stdout, exit codes, and no traceback for a user's mistake."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness import baseline
from harness.baseline import Baseline, Entry
from harness.cli import main
from harness.errors import BaselineError
from harness.verdict import CaseEvidence, Evidence, Policy, to_json


@pytest.fixture
def harness(project, monkeypatch):
    """Run a command in a user's project."""
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def evidence(failures, **more):
    cases = tuple(
        CaseEvidence(
            provider="free",
            task=f"t{i}",
            case="c",
            tier="T1",
            category="x",
            expected=1,
            passes=0 if i < failures else 1,
            failures=1 if i < failures else 0,
            errored=0,
            truncated=0,
            unpriced=0,
            fallbacks=more.get("fallbacks", 0),
            baseline_passes=1,
            baseline_epochs=1,
        )
        for i in range(6)
    )
    return Evidence(cases=cases, policy=Policy())


def test_check_accepts_a_sound_project(harness):
    result = harness("check")

    assert (result.exit_code, result.stdout) == (
        0,
        "ok: 3 tasks, 6 cases; every oracle passes, every wrong answer fails\n",
    )


def test_check_names_a_broken_checker_with_its_place(harness, project):
    path = project.path / "golden" / "T1" / "first.yaml"
    path.write_text(path.read_text().replace("- equals:", "- contains:").replace("gamma", "alphabeta"))

    result = harness("check")

    assert result.exit_code == 2
    assert "error[self-test]: task `first`, case `one`: the checks accept the wrong answer" in result.stdout
    assert "golden/T1/first.yaml:8" in result.stdout


def test_check_as_json_is_one_document(harness, project):
    (project.path / "golden" / "T1" / "first.yaml").write_text("task: 3\n")

    document = json.loads(harness("check", "--json").stdout)

    assert document["schema_version"] == 1
    assert {p["code"] for p in document["problems"]} >= {"missing-key", "bad-value"}


def test_check_looks_at_single_files_too(harness, project):
    assert harness("check", "golden/T1/first.yaml").stdout.startswith("ok: 1 task, 2 cases")
    assert harness("check", "golden").stdout.startswith("ok: 3 tasks, 6 cases")
    assert harness("check", "golden/nothing.yaml").exit_code == 2


def test_check_says_when_a_critical_agent_can_fall_below_its_floor(harness, project):
    path = project.path / "providers.yaml"
    path.write_text(
        path.read_text()
        + "  models: {free: {rank: 1}, groq-t3: {rank: 3}}\n"
        + "  agents: {auditor: {tier: T3, critical: true, floor: groq-t3}}\n"
    )

    result = harness("check")

    assert result.exit_code == 2
    assert "error[below-floor]: critical agent `auditor` can reach `free-x`" in result.stdout
    assert "BELOW ITS FLOOR: free-x" in harness("routes").stdout


def test_routes_shows_chains_prices_and_missing_keys(harness):
    result = harness("routes")

    assert result.exit_code == 0
    assert "groq-x > free-x" in result.stdout
    assert "needs LOOPBACK_URL, GROQ_API_KEY" in result.stdout
    plain = json.loads(harness("routes", "--json").stdout)
    assert plain["deployments"][0]["input"] == 0.15
    assert plain["deployments"][0]["missing_keys"] == ["GROQ_API_KEY", "LOOPBACK_URL"] or plain[
        "deployments"
    ][0]["missing_keys"] == ["LOOPBACK_URL", "GROQ_API_KEY"]


@pytest.mark.parametrize(
    ("given", "word", "exit_code"),
    [
        (evidence(0), "ALLOW", 0),
        (evidence(3), "ALLOW", 0),
        (evidence(4), "BLOCK", 1),
        (evidence(0, fallbacks=1), "INCONCLUSIVE", 3),
    ],
)
def test_verify_exits_with_the_verdict(harness, project, given, word, exit_code):
    path = project.path / "verdict.json"
    path.write_text(to_json(given))

    result = harness("verify", "verdict.json", "-q")

    assert (result.stdout, result.exit_code) == (f"{word}\n", exit_code)
    assert json.loads(harness("verify", "verdict.json", "--json").stdout)["verdict"] == word


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a verdict file"),
        (
            to_json(evidence(4)).replace('"verdict": "BLOCK"', '"verdict": "ALLOW"'),
            "it says ALLOW, but its evidence gives BLOCK",
        ),
        (to_json(evidence(0)).replace('"passes": 1', '"passes": 7'), "counts more results than"),
        (
            to_json(evidence(0)).replace('"max_regressions": 3', '"max_regressions": "3"'),
            "not a verdict file",
        ),
    ],
)
def test_verify_refuses_what_cannot_be_true(harness, project, text, message):
    (project.path / "verdict.json").write_text(text)

    result = harness("verify", "verdict.json")

    assert result.exit_code == 4
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "frist"], "no task `frist`; did you mean `first`?"),
        (["show", "first", "--case", "on"], "first has no case `on`; did you mean `one`?"),
        (["baseline", "promote", "free"], "no finished run of free; run it first: pytest --provider free"),
        (["baseline", "show", "free"], "no baseline at free.json"),
    ],
)
def test_mistakes_are_explained(harness, arguments, message):
    result = harness(*arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_outside_of_a_project_it_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(main, ["routes"])

    assert (result.exit_code, result.stderr) == (
        2,
        "error: no providers.yaml here or above; go to your project's folder\n",
    )


def test_show_puts_the_answers_side_by_side(harness, project, loopback):
    project.runpytest("--provider", "free")
    assert harness("baseline", "promote", "free").exit_code == 0

    result = harness("show", "first", "--case", "two")

    assert "user: first: say beta" in result.stdout
    lines = result.stdout.splitlines()
    assert any(line.startswith("| baseline 1/1") and "| now: passed" in line for line in lines)
    assert any([cell.strip() for cell in line.split("|")] == ["", "beta", "beta"] for line in lines)


def test_a_baseline_is_text_that_diffs_well(harness, project, loopback):
    project.runpytest("--provider", "free", "--epochs", "2")
    harness("baseline", "promote", "free")
    path = baseline.path_of(project.path / "golden", "free")

    text = path.read_text()
    found = baseline.read(path)

    assert sum('"passes": 2' in line for line in text.splitlines()) == 6, "one line a case"
    assert (found.epochs, found.deployments, found.deterministic) == (2, ("free-x",), False)
    assert found.served_models == ("free",)
    assert str(project.path) not in text
    baseline.write(found, path)
    assert path.read_text() == text
    assert "first" in harness("baseline", "show", "free").stdout


def test_merging_keeps_what_the_new_run_did_not_have():
    def make(tasks):
        entry = Entry(hash="h", passes=1, epochs=1, tokens_in=1, tokens_out=1, latency_ms=1, answer="")
        return Baseline(
            name="x",
            promoted="2026-11-22",
            epochs=1,
            deterministic=False,
            git_sha="",
            suite_hash="",
            config_hash="",
            deployments=(),
            served_models=(),
            versions={},
            tasks={task: dict.fromkeys(cases, entry) for task, cases in tasks.items()},
        )

    old, new = make({"a": ["1", "2"], "b": ["1"], "gone": ["1"]}), make({"a": ["2", "3"]})

    merged = baseline.merged(old, new, known={"a", "b"})

    assert {task: sorted(cases) for task, cases in merged.tasks.items()} == {"a": ["1", "2", "3"], "b": ["1"]}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 9}', '{"schema_version": 1, "tasks": []}']
)
def test_an_unreadable_baseline_is_an_error_in_words(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(BaselineError, match=r"x\.json"):
        baseline.read(path)
