"""The default database of a running zone, looked at from outside with plain SQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


class Sqlite:
    """The default database: one file in the zone's home."""

    url: str | None = None

    def __init__(self, home: Path) -> None:
        self.path = home / "zone.sqlite3"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=20)) as connection:
            return connection.execute(query, values).fetchall()

    def write(self, query: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
            connection.execute(query, values)

    def tables(self) -> list[str]:
        found = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [name for (name,) in found if not name.startswith("sqlite_")]

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let nobody write. To delete the file would prove less: whoever has it open keeps it."""
        with closing(sqlite3.connect(self.path, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def remove(self) -> None:
        """It goes with the zone's home."""
