"""The database as one SQLite file, safe for several processes writing at once.

WAL, a 30 s busy timeout and BEGIN IMMEDIATE: with a plain BEGIN, a transaction that reads before it
writes fails at once under contention, whatever the timeout. No call is made inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.errors import BudgetExceeded, StoreError
from harness.records import Attempt, Outcome, Run, Sample, Usage, plain
from harness.sanitize import storable
from harness.store.base import Lookup
from harness.store.schema import MIGRATIONS

BUSY_SECONDS = 30.0
NANO = Decimal(1_000_000_000)
_COUNTERS = ("uncached_input", "cache_read", "cache_write", "output", "reasoning")


class SqliteStore:
    """A `Store` in one file; `:memory:` is not supported, since each thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate()
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: cannot be used as the results database: {exc}") from exc

    # The ledger

    def look_up(self, key: str, run_id: str) -> Lookup:
        rows = self._connection.execute(
            "SELECT * FROM attempts WHERE key = ? AND state = 'answered' ORDER BY id DESC LIMIT 1", (key,)
        ).fetchall()
        (in_flight,) = self._connection.execute(
            "SELECT count(*) FROM attempts WHERE key = ? AND state = 'sent' AND run_id != ?", (key, run_id)
        ).fetchone()
        return Lookup(answered=_attempt(rows[0], recorded=True) if rows else None, in_flight=in_flight)

    def begin(
        self,
        *,
        run_id: str,
        key: str,
        question: Mapping[str, Any],
        task: str,
        case: str,
        epoch: int,
        deployment: str,
        provider: str,
        reserve_usd: Decimal,
        budget_usd: Decimal | None,
    ) -> int:
        row = {
            "run_id": run_id,
            "key": key,
            "question": json.dumps(question, sort_keys=True),
            "task": task,
            "case_id": case,
            "epoch": epoch,
            "deployment": deployment,
            "provider": provider,
            "state": "sent",
            "reserved_nusd": _nano(reserve_usd),
        }
        with self._transaction() as connection:
            if budget_usd is not None and self.spent(run_id) + reserve_usd > budget_usd:
                raise BudgetExceeded(
                    f"--max-cost ${budget_usd} is used up: ${self.spent(run_id):.4f} spent or reserved, "
                    f"and {deployment} may cost ${reserve_usd:.4f} more"
                )
            return _insert(connection, "attempts", row)

    def complete(self, row_id: int, attempt: Attempt, cost_usd: Decimal | None) -> None:
        usage = attempt.usage
        row = {
            "state": "answered" if attempt.answered else "failed",
            "outcome": attempt.outcome,
            "detail": storable(attempt.detail),
            "cost_nusd": None if cost_usd is None else _nano(cost_usd),
            "text": storable(attempt.text),
            "finish_reason": attempt.finish_reason,
            "served_model": storable(attempt.served_model),
            "fingerprint": storable(attempt.fingerprint),
            "latency_ms": attempt.latency_ms,
        } | {name: getattr(usage, name) if usage else None for name in _COUNTERS}
        columns = ", ".join(f"{name} = :{name}" for name in row)
        with self._transaction() as connection:
            connection.execute(f"UPDATE attempts SET {columns} WHERE id = :id", row | {"id": row_id})

    # Runs and samples

    def add_run(self, run: Run) -> None:
        row = {
            "id": run.id,
            "started": run.started,
            "providers": json.dumps(run.providers),
            "record": json.dumps(plain(run), default=str),
        }
        with self._transaction() as connection:
            _insert(connection, "runs", row)

    def finish_run(self, run_id: str) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE runs SET finished = 1 WHERE id = ?", (run_id,))

    def add_sample(self, run_id: str, sample: Sample) -> None:
        row = {
            "run_id": run_id,
            "provider": sample.provider,
            "task": sample.task,
            "case_id": sample.case,
            "epoch": sample.epoch,
            "outcome": sample.outcome,
            "fallback_used": sample.fallback_used,
            "attempt_id": sample.row_id,
            "record": json.dumps(_storable(plain(sample)), default=str),
        }
        with self._transaction() as connection:
            _insert(connection, "samples", row, verb="INSERT OR REPLACE")

    def run(self, run_id: str) -> Run | None:
        row = self._connection.execute("SELECT record FROM runs WHERE id = ?", (run_id,)).fetchone()
        return _run(row["record"]) if row else None

    def latest_run(self, provider: str) -> Run | None:
        row = self._connection.execute(
            "SELECT record FROM runs WHERE finished AND providers LIKE ? ORDER BY rowid DESC LIMIT 1",
            (f"%{json.dumps(provider)}%",),
        ).fetchone()
        return _run(row["record"]) if row else None

    def samples(self, run_id: str) -> Sequence[Sample]:
        rows = self._connection.execute(
            "SELECT record FROM samples WHERE run_id = ? ORDER BY task, case_id, provider, epoch", (run_id,)
        )
        return [_sample(row["record"]) for row in rows]

    def attempts(self, run_id: str) -> Sequence[Attempt]:
        rows = self._connection.execute("SELECT * FROM attempts WHERE run_id = ? ORDER BY id", (run_id,))
        return [_attempt(row, recorded=False) for row in rows]

    def spent(self, run_id: str) -> Decimal:
        # A failed or unfinished call may have been paid, so its reservation stands.
        (total,) = self._connection.execute(
            "SELECT coalesce(sum(coalesce(cost_nusd, reserved_nusd)), 0) FROM attempts WHERE run_id = ?",
            (run_id,),
        ).fetchone()
        return Decimal(total) / NANO

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    # The file

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a paid reply must survive a power cut
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _migrate(self) -> None:
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"{self.path} has schema {version}, newer than this harness knows ({len(MIGRATIONS)}); "
                    "upgrade routing-harness, or move the file away"
                )
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number:d}")


def _statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any], verb: str = "INSERT") -> int:
    columns = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    cursor = connection.execute(f"{verb} INTO {table} ({columns}) VALUES ({places})", row)
    return cursor.lastrowid or 0


def _storable(record: dict[str, Any]) -> dict[str, Any]:
    return {key: storable(value) if isinstance(value, str) else value for key, value in record.items()}


def _nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value())


def _attempt(row: sqlite3.Row, *, recorded: bool) -> Attempt:
    counters = {name: row[name] for name in _COUNTERS}
    return Attempt(
        deployment=row["deployment"],
        provider=row["provider"],
        outcome=row["outcome"] or row["state"],
        detail=row["detail"],
        latency_ms=row["latency_ms"],
        usage=None if counters["output"] is None else Usage(**counters),
        cost_usd=None if row["cost_nusd"] is None else Decimal(row["cost_nusd"]) / NANO,
        text=row["text"],
        finish_reason=row["finish_reason"],
        served_model=row["served_model"],
        fingerprint=row["fingerprint"],
        recorded=recorded,
        row_id=row["id"],
    )


def _sample(text: str) -> Sample:
    raw = json.loads(text)
    raw["outcome"] = Outcome(raw["outcome"])
    raw["usage"] = None if raw["usage"] is None else Usage(**raw["usage"])
    return Sample(**raw)


def _run(text: str) -> Run:
    raw = json.loads(text)
    raw["providers"] = tuple(raw["providers"])
    raw["max_cost_usd"] = None if raw["max_cost_usd"] is None else Decimal(raw["max_cost_usd"])
    return Run(**raw)
