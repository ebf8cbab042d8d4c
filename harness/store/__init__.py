"""The ledger of calls and the results of runs, in one database."""

from harness.store.base import Ledger, Lookup, Store
from harness.store.sqlite import SqliteStore

__all__ = ["Ledger", "Lookup", "SqliteStore", "Store"]
