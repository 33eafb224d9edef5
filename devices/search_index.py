"""
Which devices have a text somewhere in their name, DNS name or addresses, from an index.

The index knows the runs of three characters, so it finds a text wherever it stands. Each database
has one of its own and keeps it by triggers: PostgreSQL a GIN index of arrays, SQLite a full-text
table. It is no migration: the triggers are taken away before each, and made again after it. Their
names tell the definition, so an index of another version is made anew, and until then not asked.
"""

import re
import sqlite3
from contextlib import closing
from functools import cache
from hashlib import sha256
from typing import Any

from django.db import connection, connections, transaction
from django.db.backends.utils import CursorWrapper

SHORTEST = 3  # characters that the index can find
_COLUMNS = ("name", "dns_name", "addresses")

# Whoever may read the devices may read their texts, and each of them changes the index by the
# triggers only: as its owner, and in a restore, too, where no schema is searched.
_POSTGRESQL = """
DROP TABLE IF EXISTS devices_text;
DROP FUNCTION IF EXISTS devices_runs(text, integer);
DROP STATISTICS IF EXISTS devices_text_columns;
CREATE TABLE devices_text
    (device_id bigint PRIMARY KEY, text text NOT NULL, runs text[] NOT NULL);
CREATE INDEX devices_text_runs ON devices_text USING gin (runs);
CREATE STATISTICS devices_text_columns
    ON (upper(name::text)), (upper(dns_name::text)), (upper(addresses::text)) FROM devices_device;
CREATE FUNCTION devices_runs(whole text, step integer) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(whole, least(n, length(whole) - 2), 3)), '{}')
    FROM generate_series(1, length(whole), step) AS n $$;
CREATE FUNCTION devices_text_keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE whole text;
BEGIN
    IF TG_TABLE_NAME = 'devices_text' THEN
        RETURN NULL;
    ELSIF TG_OP = 'TRUNCATE' THEN
        DELETE FROM devices_text;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM devices_text WHERE device_id = OLD.id;
    ELSE
        whole := lower(concat_ws(E'\\n', NEW.name, NEW.dns_name, NEW.addresses));
        INSERT INTO devices_text VALUES (NEW.id, whole, devices_runs(whole, 1))
            ON CONFLICT (device_id) DO UPDATE SET text = excluded.text, runs = excluded.runs;
    END IF;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION devices_text_keep() FROM PUBLIC;
DO $$
DECLARE reader oid;
BEGIN
    EXECUTE format('ALTER FUNCTION devices_text_keep() SET search_path = %I, pg_temp',
                   current_schema());
    FOR reader IN SELECT grantee FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'devices_device'::regclass AND privilege_type = 'SELECT' LOOP
        EXECUTE format('GRANT SELECT ON devices_text TO %s',
                       CASE reader WHEN 0 THEN 'PUBLIC' ELSE reader::regrole::text END);
    END LOOP;
END $$;
CREATE TRIGGER devices_text_insert_{version} AFTER INSERT ON devices_device
    FOR EACH ROW EXECUTE FUNCTION devices_text_keep();
CREATE TRIGGER devices_text_update_{version} AFTER UPDATE OF name, dns_name, addresses
    ON devices_device FOR EACH ROW
    WHEN ((OLD.name, OLD.dns_name, OLD.addresses) IS DISTINCT FROM
          (NEW.name, NEW.dns_name, NEW.addresses))
    EXECUTE FUNCTION devices_text_keep();
CREATE TRIGGER devices_text_delete_{version} AFTER DELETE ON devices_device
    FOR EACH ROW EXECUTE FUNCTION devices_text_keep();
CREATE TRIGGER devices_text_truncate_{version} AFTER TRUNCATE ON devices_device
    FOR EACH STATEMENT EXECUTE FUNCTION devices_text_keep();
INSERT INTO devices_text
    SELECT id, whole, devices_runs(whole, 1) FROM
    (SELECT id, lower(concat_ws(E'\\n', name, dns_name, addresses)) AS whole
     FROM devices_device) AS devices;
CREATE TRIGGER devices_text_restore_{version} BEFORE INSERT ON devices_text
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION devices_text_keep();
ANALYZE devices_text;
ANALYZE devices_device
"""

_WHOLE = "{0}name || char(10) || {0}dns_name || char(10) || {0}addresses"
_FULL_TEXT = "CREATE VIRTUAL TABLE devices_text USING fts5(text, tokenize = 'trigram')"
_SQLITE = (
    "DROP TABLE IF EXISTS devices_text",
    _FULL_TEXT,
    "CREATE TRIGGER devices_text_insert_{version} AFTER INSERT ON devices_device BEGIN"
    f" INSERT INTO devices_text (rowid, text) VALUES (new.id, {_WHOLE.format('new.')}); END",
    f"CREATE TRIGGER devices_text_update_{{version}} AFTER UPDATE OF {', '.join(_COLUMNS)}"
    " ON devices_device"
    f" WHEN {' OR '.join(f'old.{column} IS NOT new.{column}' for column in _COLUMNS)} BEGIN"
    f" UPDATE devices_text SET text = {_WHOLE.format('new.')} WHERE rowid = new.id; END",
    "CREATE TRIGGER devices_text_delete_{version} AFTER DELETE ON devices_device BEGIN"
    " DELETE FROM devices_text WHERE rowid = old.id; END",
    f"INSERT INTO devices_text (rowid, text) SELECT id, {_WHOLE.format('')} FROM devices_device",
)
DEFINITIONS = {"postgresql": (_POSTGRESQL,), "sqlite": _SQLITE}

# What keeps the index now. On PostgreSQL one of the triggers is that of the table itself.
_KEPT_BY = {
    "postgresql": "SELECT tgname FROM pg_trigger"
    " WHERE tgfoid = to_regproc('devices_text_keep') AND tgenabled = 'O'"
    " AND has_table_privilege(to_regclass('devices_text'), 'SELECT')",
    "sqlite": "SELECT name FROM sqlite_master"
    " WHERE type = 'trigger' AND name LIKE 'devices_text%' OR name = 'devices_text'",
}


def ensure(*, using: str, **of_the_signal: Any) -> None:
    """Make the index and fill it, unless the database keeps this very one already."""
    database = connections[using]
    with transaction.atomic(using), database.cursor() as cursor:
        if database.vendor == "postgresql":  # another host may be about to make it
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('devices_text'))")
        if "devices_device" not in database.introspection.table_names(cursor):
            return
        if _is_kept(cursor, database.vendor):
            return
        _drop_triggers(cursor, database.vendor)
        if is_possible(database.vendor):
            for statement in _definition(database.vendor):
                cursor.execute(statement)


def make_way(*, using: str, plan: list[Any], **of_the_signal: Any) -> None:
    """Drop the triggers before a migration: PostgreSQL would not let it change their columns."""
    if plan:
        with transaction.atomic(using), connections[using].cursor() as cursor:
            _drop_triggers(cursor, connections[using].vendor)


@cache
def is_possible(vendor: str) -> bool:
    """Whether the database can have the index: an old or a small SQLite lacks what it takes."""
    if vendor != "sqlite":
        return True
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute(_FULL_TEXT)
        except sqlite3.OperationalError:
            return False
    return True


def _definition(vendor: str) -> list[str]:
    """Return the statements that make the index, the version in the names of its triggers."""
    statements = DEFINITIONS[vendor]
    version = sha256(";".join(statements).encode()).hexdigest()[:8]
    return [statement.replace("{version}", version) for statement in statements]


def _is_kept(cursor: CursorWrapper, vendor: str) -> bool:
    """Whether the index can be asked: all of it is there, and nothing of another version."""
    if not is_possible(vendor):
        return False
    cursor.execute(_KEPT_BY[vendor])
    wanted = re.findall(r"CREATE (?:TRIGGER|VIRTUAL TABLE) (\w+)", ";".join(_definition(vendor)))
    return {name for (name,) in cursor.fetchall()} == set(wanted)


def _drop_triggers(cursor: CursorWrapper, vendor: str) -> None:
    if vendor == "postgresql":
        cursor.execute("DROP FUNCTION IF EXISTS devices_text_keep() CASCADE")
        return
    cursor.execute(_KEPT_BY[vendor])
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def numbers(search: str, *, most: int) -> list[int] | None:
    """
    Return the primary keys of the devices that have the text, in any case of its letters.

    None when there are more than `most`, or when the index cannot say.
    """
    if len(search) < SHORTEST:
        return None
    with connection.cursor() as cursor:
        if not _is_kept(cursor, connection.vendor):
            return None
        if connection.vendor == "postgresql":
            # Each third run leaves few enough; then the text itself, for the runs may be apart.
            cursor.execute(
                "SELECT device_id FROM devices_text WHERE strpos(text, lower(%s)) > 0"
                " AND runs @> devices_runs(lower(%s), 3) LIMIT %s",
                [search, search, most + 1],
            )
        else:
            phrase = '"' + search.replace('"', '""') + '"'
            cursor.execute(
                "SELECT rowid FROM devices_text WHERE text MATCH %s LIMIT %s", [phrase, most + 1]
            )
        found = [number for (number,) in cursor.fetchall()]
    return found if len(found) <= most else None
