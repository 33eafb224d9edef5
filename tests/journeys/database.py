"""
The database of a running zone, looked at from outside with plain SQL.

A zone of a journey has a database of its own: a file in its home, or where DATABASE_URL names a
PostgreSQL server, a new database there, which is dropped after.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from zcc.drill.database import Sqlite

__all__ = ["Sqlite"]


class Postgres:
    """A new database on the server of DATABASE_URL."""

    def __init__(self, server_url: str) -> None:
        self.server = server_url
        self.name = f"zcc_journey_{uuid.uuid4().hex[:12]}"
        self.url = urlunsplit(urlsplit(server_url)._replace(path=f"/{self.name}"))
        self._at_server("CREATE DATABASE {}")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.replace("?", "%s"), values).fetchall()

    def write(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query.replace("?", "%s"), values)

    def tables(self) -> list[str]:
        found = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [name for (name,) in found]

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections, and end again and again those that there are."""
        over = threading.Event()
        self._at_server("ALTER DATABASE {} ALLOW_CONNECTIONS false")
        cutter = threading.Thread(target=self._cut_until, args=[over])
        cutter.start()
        yield
        over.set()
        cutter.join()
        self._at_server("ALTER DATABASE {} ALLOW_CONNECTIONS true")

    def remove(self) -> None:
        self._at_server("DROP DATABASE {} WITH (FORCE)")

    def _cut_until(self, over: threading.Event) -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.server, autocommit=True) as connection:
            while not over.wait(0.2):
                connection.execute(query, [self.name])

    def _at_server(self, command: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(sql.Identifier(self.name)))


def instant(value: Any) -> datetime:
    """Return a time from the database, which SQLite keeps as text in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def plain(row: tuple[Any, ...]) -> str:
    """Return a row as text that can be compared."""
    return json.dumps(
        [bytes(v).hex() if isinstance(v, bytes | memoryview) else v for v in row], default=str
    )
