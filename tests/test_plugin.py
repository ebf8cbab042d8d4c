"""The plugin as users meet it: options, outcomes, exit codes, and what is never asked."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from harness.testing import Answer

pytestmark = pytest.mark.usefixtures("loopback")


def verdict_of(project):
    return json.loads((project.path / ".harness" / "verdict.json").read_text())


def harness(project, *arguments):
    return project.run(sys.executable, "-m", "harness", *arguments)


def promote(project, name="free"):
    done = harness(project, "baseline", "promote", name)
    assert done.ret == 0, done.stderr.str()


def answers(loopback, answer):
    loopback._answer = answer


def test_a_run_reports_every_case_and_asks_each_once(project, loopback):
    result = project.runpytest("--provider", "free", "-v")

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "golden/T1/first.yaml::first[[]one-free[]] PASSED*",
            "*routing evaluation*",
            "3 tasks, 6 cases x 1 epoch on free",
            "without a baseline for free",
            "T1  ✓ 4/4",
            "T3  ✓ 2/2",
            "Evidence: 6 of 6 samples judged; 0 errored*",
            "*6 passed*",
            "INCONCLUSIVE  there is no baseline for free*",
            "Next  harness baseline promote free*",
        ]
    )
    assert len(loopback.requests) == 6
    assert result.ret == 0, "without --gate, pytest's own meaning stays"


def test_the_second_run_asks_nothing_and_fresh_asks_everything(project, loopback):
    project.runpytest("--provider", "free")
    again = project.runpytest("--provider", "free")
    again.stdout.fnmatch_lines(["*0 calls made, 6 answers from the ledger*"])
    assert len(loopback.requests) == 6

    project.runpytest("--provider", "free", "--fresh")
    assert len(loopback.requests) == 12


def test_replay_only_needs_no_key_and_fails_clearly_on_a_miss(project, loopback, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")
    project.runpytest("--provider", "groq", "--tier", "T3", "--max-cost", "1")
    monkeypatch.delenv("GROQ_API_KEY")
    asked = len(loopback.requests)

    project.runpytest("--provider", "groq", "--tier", "T3", "--replay-only").assert_outcomes(passed=2)
    miss = project.runpytest("--provider", "groq", "--tier", "T1", "--replay-only")

    miss.assert_outcomes(errors=4)
    miss.stdout.fnmatch_lines(["*first[[]one[]] epoch 0 on groq-x is not recorded; run it once*"])
    assert len(loopback.requests) == asked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--provider", "groq", "--tier", "T3"],
            "--provider groq: groq-x needs GROQ_API_KEY, which is not set",
        ),
        (["--provider", "grok"], "did you mean `groq`"),
        (["--tier", "T7"], "--tier T7: there is none"),
        (["--category", "ci_flakyness"], "did you mean `ci_flakiness`"),
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--max-cost", "lots"], "--max-cost lots: not an amount in USD"),
        (["--fresh", "--replay-only"], "choose one"),
        (["--provider", "free", "--gate"], "no baseline `free` to compare with"),
        (["--provider", "free", "--baseline", "typo"], "--baseline typo: there is no such file"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line_before_anything_is(project, loopback, arguments, message):
    result = project.runpytest(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert loopback.requests == []


def test_a_priced_deployment_is_asked_only_after_the_estimate_and_with_a_limit(
    project, loopback, monkeypatch
):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")

    refused = project.runpytest("--tier", "T3", "--provider", "groq")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        ["*would ask priced deployments*", "*groq-x*2 calls*at most $*", "*--max-cost USD*"]
    )
    assert loopback.requests == []

    allowed = project.runpytest("--tier", "T3", "--provider", "groq", "--max-cost", "0.50")
    allowed.assert_outcomes(passed=2)
    allowed.stdout.fnmatch_lines(["*groq-x*2 calls*", "*Spent $0.0000 of $0.50*"])
    assert loopback.keys == ["Bearer dummy-key"] * 2
    attempts = project.run(sys.executable, "-c", ATTEMPTS)
    assert attempts.outlines == ["groq groq-x answered"] * 2


ATTEMPTS = """
from harness.store import SqliteStore
from pathlib import Path
store = SqliteStore(Path(".harness/harness.db"))
for attempt in store.attempts(store.latest_run("groq").id):
    print(attempt.provider, attempt.deployment, attempt.outcome)
"""


def test_cost_is_compared_by_todays_prices(project, loopback, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")
    project.runpytest("--provider", "groq", "--max-cost", "1")
    promote(project, "groq")
    usage = {"prompt_tokens": 10, "completion_tokens": 12, "total_tokens": 22}
    answers(
        loopback, lambda request: Answer(text=request["messages"][-1]["content"].split()[-1], usage=usage)
    )

    result = project.runpytest("--provider", "groq", "--max-cost", "1", "--fresh")

    # 10 tokens in at 0.15 and 2, then 12, out at 0.60 USD per million; 1,000 samples.
    result.stdout.re_match_lines([r"cost / 1,000 samples\s+\$0\.0027\s+\$0\.0087\s+\+222\.2%"])


def test_a_budget_that_runs_out_stops_the_spending_and_the_verdict(project, loopback, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")

    result = project.runpytest("--provider", "groq", "--max-cost", "0.00003")

    assert 0 < len(loopback.requests) < 6
    result.stdout.fnmatch_lines(["*--max-cost $0.00003 is used up*", "INCONCLUSIVE*"])


def test_without_a_key_the_chain_goes_on_and_says_so(project, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)

    result = project.runpytest("--tier", "T3")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["harness: groq-x skipped: GROQ_API_KEY is not set", "*2 by a fallback*"])


# Beside a baseline


@pytest.fixture
def with_baseline(project, loopback):
    """A baseline in which `second[two]` fails and all else passes."""
    answers(loopback, lambda request: Answer(text=_but(request, "second: say beta", "wrong")))
    project.runpytest("--provider", "free", "--epochs", "2")
    promote(project)
    return project


def _but(request, prompt, text):
    asked = request["messages"][-1]["content"]
    return text if asked == prompt else asked.split()[-1]


def test_each_outcome_has_its_place_in_pytests_terms(with_baseline, loopback):
    def answer(request):
        asked = request["messages"][-1]["content"]
        return Answer(text="wrong" if asked == "first: say alpha" else asked.split()[-1])

    answers(loopback, answer)
    result = with_baseline.runpytest("--provider", "free", "--fresh", "-o", "xfail_strict=true", "-rA")

    result.assert_outcomes(passed=4, failed=1, xpassed=1)
    result.stdout.fnmatch_lines(
        [
            "regressed: first[[]one[]] on free: 2/2 in the baseline, 0/1 now",
            "expected 'alpha', got 'wrong'",
            "| wrong",
            "*Cases: 4 passed, 1 regressed, 1 improved.*",
        ]
    )


def test_a_known_failure_is_xfail(with_baseline):
    with_baseline.runpytest("--provider", "free").assert_outcomes(passed=5, xfailed=1)


def test_an_outage_is_an_error_and_never_a_regression(with_baseline, loopback):
    answers(loopback, Answer(status=400, body=b'{"error": {"message": "no"}}'))

    result = with_baseline.runpytest("--provider", "free", "--fresh", "--gate", "--tier", "T1")

    result.assert_outcomes(errors=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["INCONCLUSIVE  nothing was judged*", "Next  run the same command again*"])
    assert verdict_of(with_baseline)["regressed"] == []


@pytest.mark.parametrize(("limit", "word", "exit_code"), [(3, "ALLOW", 0), (2, "BLOCK", 1)])
def test_the_gate_counts_tasks_and_sets_the_exit_code(with_baseline, loopback, limit, word, exit_code):
    path = with_baseline.path / "providers.yaml"
    path.write_text(f"{path.read_text()}  policy: {{max_regressions: {limit}}}\n")
    answers(loopback, Answer(text="wrong"))

    result = with_baseline.runpytest("--provider", "free", "--fresh", "--gate")

    assert result.ret == exit_code
    assert re.search(rf"^{word}  3 tasks regressed", result.stdout.str(), re.MULTILINE)
    last = [line for line in result.outlines if line][-3:]
    assert last[-1].startswith("Next") or last[-2].startswith("Next")
    assert verdict_of(with_baseline)["verdict"] == word
    verified = harness(with_baseline, "verify", ".harness/verdict.json", "-q")
    assert (verified.ret, verified.outlines) == (exit_code, [word])


def test_an_unchanged_route_is_allowed(with_baseline):
    result = with_baseline.runpytest("--provider", "free", "--gate")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["ALLOW  0 tasks regressed, at most 3 allowed."])


def test_an_edited_task_is_new_and_the_rest_stays_comparable(with_baseline):
    path = with_baseline.path / "golden" / "T3" / "third.yaml"
    path.write_text(path.read_text().replace("say {{", "please say {{"))

    result = with_baseline.runpytest("--provider", "free", "--gate")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["Note: the suite has changed since baseline free*", "INCONCLUSIVE  2 cases new or*"]
    )


def test_a_baseline_that_cannot_be_read_is_not_the_same_as_none(with_baseline):
    (with_baseline.path / "golden" / "baselines" / "free.json").write_text("{")

    result = with_baseline.runpytest("--provider", "free", "--gate")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "free.json: not a baseline" in result.stderr.str()


def test_a_partial_run_is_promoted_only_into_what_is_there(with_baseline):
    with_baseline.runpytest("--provider", "free", "--tier", "T1", "--fresh")

    refused = harness(with_baseline, "baseline", "promote", "free")
    merged = harness(with_baseline, "baseline", "promote", "free", "--merge")

    assert (refused.ret, merged.ret) == (2, 0)
    assert "has 4 of 6 cases" in refused.stderr.str()
    assert "3 tasks, 6 cases" in merged.stdout.str()


# Selection and pytest's own options


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--tier", "T1"], 4),
        (["--tier", "T1", "--tier", "T3"], 6),
        (["-k", "first"], 2),
        (["-m", "T3"], 2),
        (["-m", "ci_flakiness and not T1"], 2),
        (["golden/T1/first.yaml"], 2),
        (["golden/T1/first.yaml::first[one-free]"], 1),
        (["--category", "ci_flakiness"], 6),
    ],
)
def test_selection(project, loopback, arguments, count):
    project.runpytest("--provider", "free", "--strict-markers", *arguments).assert_outcomes(
        passed=count, deselected=None if "golden/" in arguments[-1] else 6 - count
    )
    assert len(loopback.requests) == count


def test_collect_only_asks_nothing_and_needs_no_key(project, loopback, monkeypatch):
    monkeypatch.delenv("GROQ_API_KEY", raising=False)

    result = project.runpytest("--provider", "groq", "--provider", "free", "--co", "-q")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["12 tests collected*"])
    assert loopback.requests == []
    assert not (project.path / ".harness").exists()


def test_several_providers_are_a_matrix(project, loopback, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")

    result = project.runpytest("--provider", "free", "--provider", "groq", "--tier", "T3", "--max-cost", "1")

    result.assert_outcomes(passed=4)
    result.stdout.re_match_lines([r"\s+free\s+groq", r"T3\s+✓ 2/2\s+✓ 2/2"])


def test_last_failed_and_exit_first_work(project, loopback):
    answers(loopback, lambda request: Answer(text=_but(request, "first: say beta", "wrong")))
    project.runpytest("--provider", "free").assert_outcomes(passed=5, failed=1)

    project.runpytest("--provider", "free", "--lf").assert_outcomes(failed=1)
    project.runpytest("--provider", "free", "-x").assert_outcomes(passed=1, failed=1)


def test_epochs_are_data_inside_an_item(project, loopback):
    def answer(request):
        return Answer(text="wrong" if request["seed"] < 2 else request["messages"][-1]["content"].split()[-1])

    answers(loopback, answer)

    result = project.runpytest("--provider", "free", "--tier", "T3", "--epochs", "5")

    result.assert_outcomes(passed=2)
    assert len(loopback.requests) == 10
    assert sorted(request["seed"] for request in loopback.requests) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_workers_share_a_run_and_pay_once(project, loopback):
    result = project.runpytest_subprocess("--provider", "free", "-n", "2")

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        ["3 tasks, 6 cases x 1 epoch on free", "*6 of 6 samples judged*", "*6 calls made*"]
    )
    assert result.stdout.str().count("INCONCLUSIVE") == 1
    assert len(loopback.requests) == 6


def test_junit_names_are_slugs_and_text_is_valid_xml(project, loopback):
    import xml.etree.ElementTree as ET

    answers(loopback, Answer(text="\x00\x1b[31m]]> <script>\ud83d"))
    project.runpytest("--provider", "free", "--junitxml=out.xml")

    tree = ET.parse(project.path / "out.xml")
    names = [case.get("name") for case in tree.iter("testcase")]
    assert names[0] == "first[one-free]"
    assert len(list(tree.iter("failure"))) == 6


def test_without_a_terminal_and_when_quiet_it_still_ends_well(project):
    quiet = project.runpytest("--provider", "free", "-q")
    assert "routing evaluation" not in quiet.stdout.str()
    assert "INCONCLUSIVE" in quiet.stdout.str()
    assert project.runpytest("--provider", "free", "-p", "no:terminal").ret == 0


def test_every_line_of_the_summary_fits_80_columns(with_baseline, loopback):
    answers(loopback, Answer(text="a long wrong answer " * 20))
    result = with_baseline.runpytest("--provider", "free", "--fresh", "--gate")

    started = next(i for i, line in enumerate(result.outlines) if "routing evaluation" in line)
    ended = next(i for i, line in enumerate(result.outlines) if "short test summary" in line)
    verdict = next(i for i, line in enumerate(result.outlines) if line.startswith(("ALLOW", "BLOCK")))
    # Between the two stands pytest's own list, which it does not shorten where CI is set.
    assert max(map(len, result.outlines[started:ended] + result.outlines[verdict:])) <= 80


# Broken files


def test_every_error_of_every_file_comes_at_once(project, loopback):
    providers = project.path / "providers.yaml"
    providers.write_text(providers.read_text().replace("tiers:", "teirs:"))
    task = project.path / "golden" / "T1" / "first.yaml"
    task.write_text(task.read_text().replace("tier: T1", "tier: T1\ntier: T2").replace(", expect: beta", ""))

    under_pytest = project.runpytest()
    in_cli = harness(project, "check")

    assert (under_pytest.ret, in_cli.ret) == (4, 2)
    for output in (under_pytest.stderr.str(), in_cli.stdout.str()):
        assert "unknown key `teirs`" in output
        assert "key `tier` stands twice" in output
        assert "case `two` has no `expect`" in output
        assert "Found 3 errors in 2 files." in output
        assert "Traceback" not in output
    assert loopback.requests == []


# Plain test functions

MARKED = """
import pytest

@pytest.mark.golden(tier="T1", category="planner")
def test_says_gamma(llm):
    assert llm("say gamma").text == "gamma"

@pytest.mark.golden(tier="T1", category="planner")
@pytest.mark.parametrize("word", ["delta", "epsilon"])
def test_says(llm, word):
    assert llm(f"say {word}", system="Be brief.").text == "delta"

def test_ordinary():
    assert True
"""


def test_plain_test_functions_take_part(project, loopback):
    project.makepyfile(test_marked=MARKED)

    result = project.runpytest("--provider", "free", "--category", "planner", "--epochs", "2", ".")

    result.assert_outcomes(passed=2, failed=1, deselected=7)
    result.stdout.fnmatch_lines(["2 tasks, 3 cases x 2 epochs on free", "*6 of 6 samples judged*"])
    assert {r["messages"][0]["role"] for r in loopback.requests} == {"system", "user"}


def test_marked_functions_take_part_when_only_their_file_is_named(project, loopback):
    project.makepyfile(test_marked=MARKED)

    result = project.runpytest("test_marked.py")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["2 tasks, 3 cases x 1 epoch on chain", "INCONCLUSIVE*"])


def test_an_allow_does_not_excuse_other_tests_that_fail(with_baseline):
    with_baseline.makepyfile(test_other="def test_x():\n    assert False\n")

    result = with_baseline.runpytest("--provider", "free", "--gate", ".")

    assert "\nALLOW" in result.stdout.str()
    assert result.ret == 1


def test_marked_functions_of_one_name_are_told_apart(project, loopback):
    project.makepyfile(test_marked=MARKED, test_more=MARKED.replace("say gamma", "say delta"))

    result = project.runpytest("--provider", "free", "test_marked.py", "test_more.py")

    result.assert_outcomes(passed=5, failed=3)
    result.stdout.fnmatch_lines(["4 tasks, 6 cases x 1 epoch on free"])


@pytest.mark.parametrize(
    ("body", "outcomes"),
    [
        ("def test_x(llm):\n    pass\n", {"errors": 1}),
        ("async def test_x(llm):\n    assert False\n", {}),
    ],
)
def test_a_test_that_judges_nothing_is_no_pass(project, body, outcomes):
    project.makepyfile(test_m=f"import pytest\n\n@pytest.mark.golden(tier='T1')\n{body}")

    result = project.runpytest("--provider", "free", "test_m.py")

    assert result.ret != 0
    if outcomes:
        result.assert_outcomes(**outcomes)
    else:
        assert "a golden test cannot be async" in result.stderr.str()


def test_marked_functions_pay_only_with_a_limit_and_need_their_key(project, loopback, monkeypatch):
    project.makepyfile(test_marked=MARKED)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    without_key = project.runpytest("--provider", "groq", "test_marked.py")
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")
    without_limit = project.runpytest("--provider", "groq", "test_marked.py")

    assert (without_key.ret, without_limit.ret) == (4, 4)
    assert "groq-x needs GROQ_API_KEY" in without_key.stderr.str()
    assert "--max-cost USD" in without_limit.stderr.str()
    assert loopback.requests == []


def test_a_priced_fallback_is_not_asked_without_a_limit(project, loopback, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "dummy-key")
    path = project.path / "providers.yaml"
    path.write_text(path.read_text().replace("T3: {chain: [groq-t3, free]}", "T3: {chain: [free, groq-t3]}"))
    answers(loopback, Answer(status=400, body=b'{"error": {"message": "no"}}'))

    result = project.runpytest("--tier", "T3")

    result.assert_outcomes(errors=2)
    assert {request["model"] for request in loopback.requests} == {"free"}
    result.stdout.fnmatch_lines(["*groq-x costs money*--max-cost*"])


def test_litellm_walks_no_chain_of_its_own(project, loopback):
    path = project.path / "providers.yaml"
    path.write_text(
        path.read_text().replace("{model: openai/free,", "{model: openai/free, fallbacks: [openai/dear],")
    )
    answers(loopback, Answer(status=400, body=b'{"error": {"message": "no"}}'))

    project.runpytest("--provider", "free", "--tier", "T1", "-k", "first").assert_outcomes(errors=2)

    assert {request["model"] for request in loopback.requests} == {"free"}


def test_plain_tests_below_the_golden_folder_count_too(with_baseline):
    (with_baseline.path / "golden" / "test_x.py").write_text("def test_x():\n    assert False\n")

    assert with_baseline.runpytest("--provider", "free", "--gate").ret == 1


def test_a_run_that_was_cut_short_is_not_promoted(project, loopback):
    config = project.path / "providers.yaml"
    config.write_text(f"{config.read_text()}  concurrency: {{free: 1}}\n")
    answers(loopback, Answer(text="wrong", delay_s=0.2))
    project.runpytest("--provider", "free", "-x", "--epochs", "3")

    refused = harness(project, "baseline", "promote", "free")

    assert len(loopback.requests) < 18
    assert "no finished run of free" in refused.stderr.str()


def test_golden_tasks_may_be_kept_elsewhere(project):
    (project.path / "golden").rename(project.path / "tasks")
    project.makeini("[pytest]\nharness_golden = tasks\n")

    project.runpytest("--provider", "free").assert_outcomes(passed=6)
    checked = harness(project, "check")
    assert checked.stdout.str().startswith("ok: 3 tasks, 6 cases")
    assert harness(project, "baseline", "promote", "free").ret == 0
    assert (project.path / "tasks" / "baselines" / "free.json").exists()


def test_a_worker_that_crashes_loses_nothing_but_its_item(project):
    project.makepyfile(
        test_crash="""
        import os, pytest

        @pytest.mark.golden(tier="T1")
        def test_crash(llm):
            os._exit(1)
        """
    )

    result = project.runpytest_subprocess("--provider", "free", "-n", "2", ".")

    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*1 never asked*", "INCONCLUSIVE*"])


def test_a_projects_own_option_of_that_name_is_left_alone_elsewhere(pytester):
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--tier')\n")
    pytester.makepyfile("def test_x(pytestconfig):\n    assert pytestconfig.getoption('--tier') == 'gold'\n")

    pytester.runpytest_subprocess("--tier", "gold").assert_outcomes(passed=1)


def test_a_broken_test_function_is_errored_not_wrong(project):
    project.makepyfile(
        test_marked="""
        import pytest

        @pytest.mark.golden(tier="T1")
        def test_crashes(llm):
            llm("say x")
            raise ZeroDivisionError
        """
    )

    project.runpytest("--provider", "free", "test_marked.py").assert_outcomes(errors=1)


def test_llm_without_its_mark_says_what_is_missing(project):
    project.makepyfile(test_marked="def test_x(llm):\n    pass\n")

    result = project.runpytest("test_marked.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llm needs @pytest.mark.golden*"])


# Being one plugin among others


def test_it_is_silent_where_there_is_no_project(pytester):
    pytester.makepyfile("def test_x():\n    pass\n")
    (pytester.path / "golden").mkdir()
    (pytester.path / "golden" / "x.yaml").write_text("not: a task")

    result = pytester.runpytest()

    result.assert_outcomes(passed=1)
    assert not (pytester.path / ".harness").exists()


def test_an_option_that_is_taken_gets_a_longer_name(pytester):
    pytester.makepyfile(owner="def pytest_addoption(parser):\n    parser.addoption('--provider')\n")
    (pytester.path / "providers.yaml").write_text("model_list: []")
    pytester.makepyfile("def test_x():\n    pass\n")
    pytester.syspathinsert()

    result = pytester.runpytest_subprocess(
        "-p", "owner", "--provider", "theirs", "test_an_option_that_is_taken_gets_a_longer_name.py"
    )

    result.stdout.fnmatch_lines(["harness: --provider belongs to another plugin; use --harness-provider"])


def test_ctrl_c_waits_for_what_is_in_flight_and_the_next_run_asks_the_rest(project, loopback):
    config = project.path / "providers.yaml"
    config.write_text(f"{config.read_text()}  concurrency: {{free: 2}}\n")
    answers(loopback, lambda request: Answer(text=_but(request, "", ""), delay_s=1.0))
    process = project.popen([sys.executable, "-m", "pytest", "--provider", "free"], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(loopback.requests) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0].decode()

    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "stopping: waiting for 2 in flight, Ctrl-C to drop them" in output
    assert "4 samples never asked" in re.sub(r"\s+", " ", output)
    assert len(loopback.requests) == 2
    project.runpytest("--provider", "free").assert_outcomes(passed=6)
    assert len(loopback.requests) == 6, "the two in flight were kept"
