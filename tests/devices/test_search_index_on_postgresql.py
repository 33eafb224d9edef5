"""The index of the devices' texts on PostgreSQL: other roles, a restore, migrations, two hosts."""

import threading
import time

import pytest
from django.db import connection, transaction

from devices import search_index
from tests.devices.test_search_index import found
from tests.people_and_devices import make_device, now, zone

__all__ = ["make_device", "now", "zone"]

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="it is about PostgreSQL")


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def make_anew():
    run("DROP TABLE devices_text")
    search_index.ensure(using="default")


@pytest.fixture
def role(db):
    """A role that may read and write devices, and owns nothing."""
    run(
        "CREATE ROLE only_the_console",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON devices_device TO only_the_console",
    )
    return "only_the_console"


def test_role_that_did_not_migrate_writes_and_finds(make_device, role):
    device = make_device("berlin")
    make_anew()

    run(f"SET LOCAL ROLE {role}", "UPDATE devices_device SET name = 'madrid'")
    renamed = found("madrid")
    run("DELETE FROM devices_device")
    gone = found("madrid")
    run("RESET ROLE")

    assert renamed == [device.pk]
    assert gone == []


def test_role_that_may_not_read_the_index_searches_without_it(make_device, role):
    make_device("berlin")
    run(f"REVOKE ALL ON devices_text FROM {role}", f"SET LOCAL ROLE {role}")
    unknown = found("berlin")
    run("RESET ROLE")

    assert unknown is None


def test_role_cannot_have_the_triggers_write_for_its_own_tables(role):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_function_privilege(%s, 'devices_text_keep()', 'EXECUTE')", [role]
        )
        assert cursor.fetchone() == (False,)


def test_rows_are_restored_where_no_schema_is_searched(make_device):
    """As `pg_restore --data-only` does, the rows of the index before or after the devices."""
    device = make_device("berlin")

    run(
        "SELECT set_config('search_path', '', true)",
        f"INSERT INTO public.devices_text VALUES ({device.pk}, 'oslo', '{{osl,slo}}')",
        f"INSERT INTO public.devices_text VALUES ({device.pk + 1}, 'oslo', '{{osl,slo}}')",
        "UPDATE public.devices_device SET name = 'madrid'",
        "SELECT set_config('search_path', 'public', true)",
    )

    assert found("madrid") == [device.pk]
    assert found("oslo") == []


def test_index_takes_nothing_from_temporary_tables(make_device):
    make_device("berlin")

    run("CREATE TEMPORARY TABLE devices_text (LIKE devices_text)", "DELETE FROM devices_device")
    run("DROP TABLE pg_temp.devices_text")

    assert found("berlin") == []


@pytest.mark.parametrize("column", ["name", "dns_name", "addresses"])
@pytest.mark.parametrize("change", ["ALTER COLUMN {} TYPE text", "RENAME COLUMN {} TO other"])
def test_column_is_changed_once_the_triggers_are_away(make_device, column, change):
    make_device("berlin")
    connection.check_constraints()

    search_index.make_way(using="default", plan=["a migration"])

    run(f"ALTER TABLE devices_device {change.format(column)}")


def test_index_with_triggers_that_are_disabled_is_not_asked(make_device):
    make_device("berlin")
    connection.check_constraints()

    run("ALTER TABLE devices_device DISABLE TRIGGER USER")

    assert found("berlin") is None


def test_index_with_a_trigger_too_many_is_made_anew(make_device):
    device = make_device("berlin")
    run(
        "CREATE TRIGGER devices_text_insert AFTER INSERT ON devices_device"
        " FOR EACH ROW EXECUTE FUNCTION devices_text_keep()"
    )
    unknown = found("berlin")

    search_index.ensure(using="default")

    assert unknown is None
    assert found("berlin") == [device.pk]


@pytest.mark.django_db(transaction=True)
def test_two_hosts_make_the_index_at_once(make_device):
    device = make_device("berlin")
    run("DROP FUNCTION devices_text_keep CASCADE", "DROP TABLE devices_text")
    failures = []
    other = threading.Thread(target=ensure_and_tell, args=[failures])

    with transaction.atomic():
        search_index.ensure(using="default")
        other.start()
        wait_until_it_waits()
    other.join(10)

    assert failures == []
    assert found("berlin") == [device.pk]


def ensure_and_tell(failures):
    try:
        search_index.ensure(using="default")
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


def wait_until_it_waits():
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    pytest.fail("nobody waits for the lock")
