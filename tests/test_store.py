"""The ledger and the results: nothing paid is lost, and nobody overspends."""

from __future__ import annotations

import multiprocessing
import sqlite3
from decimal import Decimal

import pytest

from harness.errors import BudgetExceeded, StoreError
from harness.records import Attempt, Outcome, Run, Sample, Usage
from harness.store import SqliteStore
from harness.store.schema import MIGRATIONS

ANSWER = Attempt(
    deployment="d",
    provider="p",
    outcome="answered",
    text="hello",
    finish_reason="stop",
    served_model="m-1",
    latency_ms=12.5,
    usage=Usage(uncached_input=5, cache_read=3, output=2, reasoning=1),
)


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "deep" / "harness.db")
    opened.add_run(a_run("r1"))
    yield opened
    opened.close()


def a_run(name, providers=("local",)):
    return Run(
        id=name,
        started="2026-11-22T00:00:00+00:00",
        providers=providers,
        epochs=1,
        git_sha="abc",
        suite_hash="s",
        config_hash="c",
        cases_in_suite=2,
        cases_selected=2,
    )


def begin(store, key="k", *, run="r1", reserve="0", budget=None):
    return store.begin(
        run_id=run,
        key=key,
        question={"q": 1},
        task="t",
        case="c",
        epoch=0,
        deployment="d",
        provider="p",
        reserve_usd=Decimal(reserve),
        budget_usd=None if budget is None else Decimal(budget),
    )


def test_an_answer_is_found_again_whole(store):
    row = begin(store)
    store.complete(row, ANSWER, Decimal("0.5"))

    found = store.look_up("k", "r2").answered

    assert found.recorded
    assert (found.text, found.usage, found.cost_usd, found.row_id) == (
        "hello",
        ANSWER.usage,
        Decimal("0.5"),
        row,
    )


def test_a_call_in_flight_at_a_kill_is_known_and_no_answer(store):
    begin(store)

    assert store.look_up("k", "r2").answered is None
    assert store.look_up("k", "r2").in_flight == 1
    assert store.look_up("k", "r1").in_flight == 0, "this run's own calls are not left over"


def test_a_failed_call_is_kept_and_never_replayed(store):
    row = begin(store)
    store.complete(row, Attempt(deployment="d", provider="p", outcome="RateLimited", detail="429"), None)

    assert store.look_up("k", "r2").answered is None
    assert [(a.outcome, a.detail) for a in store.attempts("r1")] == [("RateLimited", "429")]


def test_the_budget_counts_reservations_until_the_bill_comes(store):
    row = begin(store, "a", reserve="0.6", budget="1")
    with pytest.raises(BudgetExceeded, match=r"\$0\.6000 spent or reserved"):
        begin(store, "b", reserve="0.6", budget="1")

    store.complete(row, ANSWER, Decimal("0.1"))
    begin(store, "b", reserve="0.6", budget="1")

    assert store.spent("r1") == Decimal("0.7")
    assert len(store.attempts("r1")) == 2, "a call that was refused has no row"


def _spend(path, worker):
    store = SqliteStore(path)
    made = 0
    for number in range(20):
        try:
            store.complete(
                begin(store, f"{worker}-{number}", reserve="0.1", budget="2"), ANSWER, Decimal("0.1")
            )
            made += 1
        except BudgetExceeded:
            break
    store.close()
    return made


def test_processes_writing_at_once_lose_nothing_and_share_one_budget(store):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        made = pool.starmap(_spend, [(store.path, worker) for worker in range(4)])

    assert sum(made) == 20 == len(store.attempts("r1"))
    assert store.spent("r1") == Decimal(2)


def test_a_sample_comes_back_as_it_was_and_replaces_its_cell(store):
    sample = Sample(
        task="t",
        case="c",
        tier="T1",
        category="x",
        provider="local",
        epoch=0,
        outcome=Outcome.FAILED,
        reason="wrong",
        answer="nul \x00 and half \ud800 a pair",
        usage=Usage(uncached_input=1),
    )
    store.add_sample("r1", sample)
    store.add_sample("r1", sample)

    (found,) = store.samples("r1")
    assert found.answer == "nul \\x00 and half \ufffd a pair"
    assert (found.outcome, found.usage) == (Outcome.FAILED, Usage(uncached_input=1))


def test_the_latest_run_is_the_last_finished_one_of_that_label(store):
    for name, providers in (("r2", ("local",)), ("r3", ("groq", "local")), ("r4", ("local",))):
        store.add_run(a_run(name, providers))
    store.finish_run("r2")
    store.finish_run("r3")

    assert store.latest_run("local").id == "r3", "r4 was killed"
    assert store.latest_run("chain") is None


def test_reopening_keeps_the_data_and_a_newer_schema_is_refused(store):
    begin(store)
    assert len(SqliteStore(store.path).attempts("r1")) == 1

    with sqlite3.connect(store.path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="newer than this harness knows"):
        SqliteStore(store.path)


def test_a_file_that_is_no_database_is_an_error_in_words(tmp_path):
    path = tmp_path / "x.db"
    path.write_text("no database, but long enough to look like one " * 50)

    with pytest.raises(StoreError, match="cannot be used as the results database"):
        SqliteStore(path)
