"""Claims about SQL: the answer is run, read-only and limited, on a small in-memory SQLite."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field

from harness.checks.base import Check, shown, unfenced
from harness.errors import CheckCrashed

MAX_STEPS = 2_000_000  # virtual-machine instructions: a count, so the limit is the same on every machine
MAX_SECONDS = 2.0  # one instruction can still be slow
MAX_BYTES = 20_000  # of one value; few rows are fetched, so this bounds the whole result
MAX_QUERY_BYTES = 20_000
MAX_HEAP_BYTES = 256_000_000  # of all SQLite in the process; some queries grow before their first step
_STEPS_PER_TICK = 10_000
_READ_ONLY = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_OUTSIDE = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA}
# What reaches files, or gives other rows each time.
_REFUSED_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"} | {
    "random",
    "randomblob",
}
_CLOCK_FUNCTIONS = ("date", "time", "datetime", "julianday", "unixepoch", "strftime")

Scalar = str | int | float | None


class Sql(Check):
    """The answer is one SELECT that gives these rows on the database made by `setup`."""

    name: ClassVar = "sql"
    shorthand: ClassVar = "rows"
    setup: str
    rows: list[list[Scalar]]
    ordered: bool = False
    tolerance: float = Field(default=1e-9, ge=0)

    def fault(self, answer: str) -> str:
        query = unfenced(answer).strip()
        if not query:
            return "no query"
        database = self._database()
        try:
            with _limited(database, _authorize_reading):
                cursor = database.execute(query)
                columns = len(cursor.description or ())
                if self.rows and columns != len(self.rows[0]):
                    return f"expected {len(self.rows[0])} columns, got {columns}"
                got = [list(row) for row in cursor.fetchmany(len(self.rows) + 1)]
        except (sqlite3.Error, sqlite3.Warning, ValueError) as exc:
            return _explained(exc)
        finally:
            database.close()
        return self._difference(got)

    def _database(self) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA temp_store = MEMORY")  # a large sort must not fill the disk
        database.execute(f"PRAGMA hard_heap_limit = {MAX_HEAP_BYTES}")
        try:
            with _limited(database, _authorize_setup):
                database.executescript(self.setup)
        except (sqlite3.Error, MemoryError) as exc:
            database.close()
            raise CheckCrashed(f"the `setup` of the sql check fails: {exc}") from None
        return database

    def _difference(self, got: list[list[Any]]) -> str:
        if len(got) != len(self.rows):
            number = len(got) if len(got) < len(self.rows) else f"more than {len(self.rows)}"
            return f"expected {len(self.rows)} rows, got {number}: {shown(got)}"
        want = self.rows if self.ordered else sorted(self.rows, key=_row_key)
        found = got if self.ordered else sorted(got, key=_row_key)
        for expected, actual in zip(want, found, strict=True):
            if not self._same(expected, actual):
                return f"expected the row {shown(expected)}, got {shown(actual)}"
        return ""

    def _same(self, expected: list[Scalar], actual: list[Any]) -> bool:
        return len(expected) == len(actual) and all(
            math.isclose(a, b, rel_tol=0, abs_tol=self.tolerance)
            if isinstance(a, int | float) and isinstance(b, int | float)
            else a == b
            for a, b in zip(expected, actual, strict=True)
        )


@contextmanager
def _limited(database: sqlite3.Connection, authorize: Callable[..., int]) -> Iterator[None]:
    """Let a connection do what `authorize` allows, for a bounded number of steps and time."""
    ticks = iter(range(MAX_STEPS // _STEPS_PER_TICK))
    timer = threading.Timer(MAX_SECONDS, database.interrupt)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
    database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_QUERY_BYTES)
    database.set_progress_handler(lambda: next(ticks, None) is None, _STEPS_PER_TICK)
    database.set_authorizer(authorize)
    plain = sqlite3.connect(":memory:", check_same_thread=False)
    for name in _CLOCK_FUNCTIONS:
        database.create_function(name, -1, _timeless(name, plain), deterministic=True)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        plain.close()


def _timeless(name: str, plain: sqlite3.Connection) -> Callable[..., Any]:
    """Return SQLite's date function without the clock: a query has to give the same rows every day."""

    def call(*arguments: object) -> Any:
        moment = arguments[1:] if name == "strftime" else arguments
        if not moment or any(str(argument).strip().lower() == "now" for argument in arguments):
            raise ValueError("the query depends on the clock")
        places = ", ".join("?" * len(arguments))
        return plain.execute(f"SELECT {name}({places})", arguments).fetchone()[0]

    return call


def _authorize_reading(action: int, _first: str | None, function: str | None, *_: str | None) -> int:
    if action in _READ_ONLY:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (function or "").lower() not in _REFUSED_FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _authorize_setup(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in _OUTSIDE else sqlite3.SQLITE_OK


def _explained(exc: Exception) -> str:
    text = str(exc)
    if text == "interrupted":
        return f"the query ran more than {MAX_STEPS:,} steps or {MAX_SECONDS:g} s"
    if "user-defined function raised" in text:
        return "the query depends on the clock, or gives a date function what is no date"
    if text in ("not authorized", "authorizer malfunction"):
        return "the query does more than read"
    if "one statement at a time" in text:
        return "more than one statement, or words after the query"
    return f"the query fails: {text}"


def _row_key(row: list[Any]) -> tuple[tuple[str, Any], ...]:
    """Sort rows of mixed types; numbers of either type stand together."""
    return tuple(
        ("number", float(v)) if isinstance(v, int | float) else (type(v).__name__, str(v)) for v in row
    )
