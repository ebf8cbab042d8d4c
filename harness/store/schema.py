"""The database's schema, as a list of migrations: version n is what the first n make.

A migration is never edited once released; the next one changes what it made.
"""

from __future__ import annotations

MIGRATIONS = (
    # 1 (2026-11): runs, the ledger, samples.
    """
    -- One start of the harness.
    CREATE TABLE runs (
        id          TEXT PRIMARY KEY,
        started     TEXT NOT NULL,               -- UTC, ISO 8601; for people, never for order
        finished    INTEGER NOT NULL DEFAULT 0,  -- 1 when it came to its end by itself
        providers   TEXT NOT NULL,               -- JSON list of labels: providers, or "chain"
        record      TEXT NOT NULL                -- JSON of the whole Run: provenance
    );

    -- The ledger. A row is one attempt: committed as 'sent' before the call, completed after it.
    -- A row still 'sent' belongs to a call in flight, or to one whose process was killed.
    CREATE TABLE attempts (
        id              INTEGER PRIMARY KEY,     -- the order of sending
        run_id          TEXT NOT NULL REFERENCES runs(id),
        key             TEXT NOT NULL,           -- hash of the resolved request, its epoch and series
        question        TEXT NOT NULL,           -- JSON of the resolved request: what was hashed
        task            TEXT NOT NULL,
        case_id         TEXT NOT NULL,
        epoch           INTEGER NOT NULL,
        deployment      TEXT NOT NULL,           -- model_info.id of who was asked
        provider        TEXT NOT NULL,
        state           TEXT NOT NULL CHECK (state IN ('sent', 'answered', 'failed')),
        outcome         TEXT NOT NULL DEFAULT '',    -- 'answered' or the name of the error
        detail          TEXT NOT NULL DEFAULT '',    -- the error's text, redacted
        reserved_nusd   INTEGER NOT NULL,        -- the most it can cost, in billionths of a USD
        cost_nusd       INTEGER,                 -- what it did cost by the price of the day; NULL: unpriced
        text            TEXT NOT NULL DEFAULT '',
        finish_reason   TEXT NOT NULL DEFAULT '',
        served_model    TEXT NOT NULL DEFAULT '',    -- the model string of the response
        fingerprint     TEXT NOT NULL DEFAULT '',
        latency_ms      REAL NOT NULL DEFAULT 0,
        -- Four counters that do not overlap; all NULL where the provider sent none to be believed.
        uncached_input  INTEGER,
        cache_read      INTEGER,
        cache_write     INTEGER,
        output          INTEGER,
        reasoning       INTEGER                  -- a part of output
    );
    CREATE INDEX attempts_by_key ON attempts (key, state, id);
    CREATE INDEX attempts_by_run ON attempts (run_id);

    -- One task case asked once (by one label) and judged.
    CREATE TABLE samples (
        run_id          TEXT NOT NULL REFERENCES runs(id),
        provider        TEXT NOT NULL,           -- the label of what was run
        task            TEXT NOT NULL,
        case_id         TEXT NOT NULL,
        epoch           INTEGER NOT NULL,
        outcome         TEXT NOT NULL CHECK (outcome IN ('passed', 'failed', 'errored')),
        fallback_used   INTEGER NOT NULL,
        attempt_id      INTEGER REFERENCES attempts(id),   -- who answered; NULL when nobody did
        record          TEXT NOT NULL,           -- JSON of the whole Sample
        PRIMARY KEY (run_id, provider, task, case_id, epoch)
    ) WITHOUT ROWID;
    """,
)
