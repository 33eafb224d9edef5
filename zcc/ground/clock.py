"""
What time it is: asked of the database, so that all servers agree.

Only views, tasks and commands ask. Below them the time is an argument called `now` or `at`.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection


def now() -> datetime:
    """Return the database's time, aware and in UTC. SQLite has no clock and means one host."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        # Not now(), which is the beginning of the transaction.
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)


def skew() -> timedelta:
    """Return how far this host's clock is ahead of the database's, to half a round trip."""
    before = datetime.now(UTC)
    database = now()
    after = datetime.now(UTC)
    return before + (after - before) / 2 - database
