"""
What CI need not show twice: a pytest plugin that notes statements on SQLite, for PostgreSQL.

A story of the engine sends hundreds of statements, nearly all of them known from the stories
before. CI tells every story on SQLite, and this notes what each test sends. On PostgreSQL a story
is told again if it sends a statement that no test before it has sent, or is about the database
itself. So PostgreSQL is sent whatever SQLite was sent, by fewer tests.

ZCC_STATEMENTS is the folder with the notes. Without it, or without a note of a test, all is run.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

FOLDER = os.environ.get("ZCC_STATEMENTS")
STORIES = (
    "tests/certificates/engine/",
    # They ask thousands of times for the same few rows, or for none.
    "tests/certificates/test_forecast_comes_true.py",
    "tests/certificates/test_import_sweep.py",
)
# Locks, claims, races, workers that are killed, constraints, rows that are refused, statements that
# are counted, and all the rows there are: what they show of one database they do not of another.
ABOUT_THE_DATABASE = {
    "test_astray.py",
    "test_backup.py",
    "test_keys_killed.py",
    "test_killed.py",
    "test_killed_process.py",
    "test_late_servers.py",
    "test_machines.py",
    "test_one_winner.py",
    "test_races.py",
    "test_rebuilding.py",
    "test_refusals.py",
    "test_rehearsal.py",
    "test_restore.py",
    "test_secrets.py",
    "test_storing_fails.py",
    "test_tick.py",
}
VALUES = re.compile(r"\(?%s\)?(, \(?%s\)?)+")

_sent: set[str] = set()


@lru_cache(10_000)
def shape(sql: str) -> str:
    """Return a digest of the statement without its numbers, for any number of values."""
    text = VALUES.sub("%s, %s", re.sub(r"\d+", "0", sql))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def told_again(stories: dict[str, set[str] | None], sent: Iterable[str]) -> set[str]:
    """Return the stories that send what neither `sent` nor those before have; None: not noted."""
    again, known = set(), set(sent)
    for name, statements in sorted(stories.items()):
        if statements is None or statements - known:
            again.add(name)
            known |= statements or set()
    return again


def _is_story(item: pytest.Item) -> bool:
    return item.nodeid.startswith(STORIES) and item.path.name not in ABOUT_THE_DATABASE


def _notes(folder: Path) -> dict[str, set[str]]:
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return {name: set(statements) for name, statements in map(json.loads, lines)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if FOLDER is None or connection.vendor == "sqlite":
        return
    noted = _notes(Path(FOLDER))
    stories = {item.nodeid: noted.get(item.nodeid) for item in items if _is_story(item)}
    others = [item.nodeid for item in items if item.nodeid not in stories]
    sent = set().union(*(noted.get(name, set()) for name in others))
    left_out = stories.keys() - told_again(stories, sent)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _sent.clear()
    done = yield
    if FOLDER is not None and connection.vendor == "sqlite":
        note = json.dumps([item.nodeid, sorted(_sent)])
        with (Path(FOLDER) / f"{os.getpid()}.jsonl").open("a") as notes:
            notes.write(f"{note}\n")
    return done


def _note(execute, sql, params, many, context):
    _sent.add(shape(str(sql)))
    return execute(sql, params, many, context)


def _watch(connection, **kwargs) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)


connection_created.connect(_watch)
