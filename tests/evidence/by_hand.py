"""What the owner of a database can do to the log, past the application."""

from __future__ import annotations

import sqlite3

from core.features.stores import Stores


def by_hand(stores: Stores, sql: str) -> None:
    """Statements past the application, all triggers dropped first, as the owner of the file can."""
    connection = sqlite3.connect(stores.settings.database.removeprefix("sqlite:///"))
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    connection.executescript("".join(f"DROP TRIGGER {name};" for (name,) in names) + sql)
    connection.close()
