"""The store on SQLAlchemy Core: one SQLite file."""

from surefoot.adapters.store.database import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
