"""The main job on the real embedded model: T1 and T2 of the reference suite, as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.store import SqliteStore

ROOT = Path(__file__).parents[1]
NO_LITELLM = "import sys, pytest; code = pytest.main(sys.argv[1:]); assert 'litellm' not in sys.modules; sys.exit(code)"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The shipped config, tasks and baseline, run once on T1."""
    folder = tmp_path_factory.mktemp("project")
    copy_suite(folder)
    return folder, run(folder, "--provider", "local", "--tier", "T1", "--gate")


def copy_suite(folder):
    shutil.copy(ROOT / "providers.yaml", folder)
    shutil.copytree(ROOT / "golden", folder / "golden")
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = golden\n")


def environment(folder):
    """The user's own, with temporary files where we can see them."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HARNESS_", "COV_"))}
    return inherited | {"TMPDIR": str(folder)}


def run(folder, *arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "pytest"]), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=400, check=False
    )


def verdict(folder):
    return json.loads((folder / ".harness" / "verdict.json").read_text())


def calls(folder):
    store = SqliteStore(folder / ".harness" / "harness.db")
    runs = store._connection.execute("SELECT id FROM runs ORDER BY rowid").fetchall()
    return [store.attempts(run_id) for (run_id,) in runs]


def test_the_unchanged_route_is_allowed(project):
    folder, done = project

    assert done.returncode == 0, done.stdout
    assert "5 tasks, 20 cases x 1 epoch on local" in done.stdout
    assert "Evidence: 20 of 20 samples judged" in done.stdout
    assert "\nALLOW  0 tasks regressed" in done.stdout
    assert verdict(folder)["counts"]["judged"] == 20
    assert {(a.deployment, a.served_model) for a in calls(folder)[0]} == {
        ("local-smollm2", "smollm2-135m-instruct-q4_1")
    }


def test_the_second_run_makes_no_call_and_does_not_import_litellm(project):
    folder, _ = project

    done = run(
        folder, "--provider", "local", "--tier", "T1", "--gate", "-p", "no:cacheprovider", code=NO_LITELLM
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 calls made, 20 answers from the ledger" in done.stdout


def test_workers_share_one_server_and_give_the_same_answers(project):
    folder, _ = project

    done = run(
        folder, "--provider", "local", "--tier", "T1", "--fresh", "--gate", "-n", "2", "-k", "ci-error-code"
    )

    assert done.returncode == 0, done.stdout
    assert "4 of 4 samples judged" in done.stdout
    assert "4 calls made" in done.stdout
    assert list(folder.glob("harness-*")) == [], "the server is gone, and its folder with it"


def test_a_degraded_route_is_blocked_and_its_tasks_are_named(tmp_path):
    copy_suite(tmp_path)
    config = tmp_path / "providers.yaml"
    for tier in ("T1", "T2"):
        before = config.read_text()
        start = before.index(f"    {tier}: {{chain: [")
        end = before.index("]", start) + 1
        config.write_text(f"{before[:end]}, params: {{max_tokens: 3}}{before[end:]}")

    done = run(tmp_path, "--provider", "local", "--tier", "T1", "--tier", "T2", "--gate")

    assert done.returncode == 1, done.stdout
    assert "\nBLOCK  " in done.stdout
    regressed = {task for _, task in verdict(tmp_path)["regressed"]}
    assert len(regressed) > 3
    assert {"ci-error-code", "headline-case", "usage-field"} <= regressed
    assert "✗ ci-error-code  T1 local  5/5 → 0/1" in done.stdout


def test_after_a_kill_only_calls_in_flight_are_asked_twice(tmp_path):
    copy_suite(tmp_path)
    arguments = ["--provider", "local", "--tier", "T1", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answered = wait_for_answers(tmp_path, 4)
        url = next(tmp_path.glob("harness-*/url")).read_text()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert server_goes_away(url), "the embedded server outlived its session"
    done = run(tmp_path, *arguments)
    assert "INCONCLUSIVE" not in done.stdout
    first, second = calls(tmp_path)
    in_flight = [a for a in first if a.outcome == "sent"]
    assert len(first) - len(in_flight) >= answered
    assert len(in_flight) <= 1, "local is asked one at a time"
    assert len(first) - len(in_flight) + len(second) == 20, "what was answered is not asked again"


def wait_for_answers(folder, number, timeout_s=120):
    path = folder / ".harness" / "harness.db"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if path.exists():
            found = sum(a.answered for attempts in calls(folder) for a in attempts)
            if found >= number:
                return found
        time.sleep(0.2)
    pytest.fail(f"no {number} answers within {timeout_s} s")


def server_goes_away(url, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
        except (urllib.error.URLError, ConnectionError):
            return True
        time.sleep(0.1)
    return False
