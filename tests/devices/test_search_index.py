"""The index of the devices' texts. What a search finds with it: test_views_list.py."""

from functools import partial

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations import Migration
from django.db.models.signals import pre_migrate

from devices import search_index
from devices.models import Device
from tests.people_and_devices import make_device, now, zone

__all__ = ["make_device", "now", "zone"]


def found(text, most=1000):
    return search_index.numbers(text, most=most)


@pytest.mark.parametrize("text", ["berlin-7", "ERL", "lin-7.test", "10.9.8", "9.8.7"])
def test_text_is_found_wherever_it_stands(make_device, text):
    device = make_device("berlin-7", addresses=["10.9.8.7"])
    make_device("oslo")

    assert found(text) == [device.pk]


def test_runs_of_a_text_that_are_apart_are_not_the_text(make_device):
    make_device("abcdef-xyz")

    assert found("abcxyz") == []


def test_index_follows_what_becomes_of_a_device(make_device):
    device = make_device("berlin")
    rows = Device.objects.filter(pk=device.pk)

    rows.update(name="madrid", dns_name="madrid.test.zone")
    renamed = found("berlin"), found("madrid")
    rows.update(addresses=["10.20.30.40"])
    moved = found("madrid"), found("20.30")
    rows.delete()

    assert renamed == ([], [device.pk])
    assert moved == ([device.pk], [device.pk])
    assert found("madrid") == []


def test_many_devices_made_at_once_are_found(zone, now):
    rows = [Device(zone=zone, name=f"d-{n:03}", kind="mobile", enrolled_at=now) for n in range(30)]
    Device.objects.bulk_create(rows)

    assert len(found("d-0")) == 30


def test_more_than_asked_for_is_not_told(make_device):
    for number in range(3):
        make_device(f"oslo-{number}")

    assert found("oslo", most=2) is None
    assert len(found("oslo", most=3)) == 3


def test_text_that_is_too_short_is_not_known(make_device):
    make_device("oslo")

    assert found("os") is None


def triggers():
    """Return the names of the triggers on the table of the devices."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'devices_text%'"
            " AND tgrelid = 'devices_device'::regclass"
            if connection.vendor == "postgresql"
            else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        )
        return [name for (name,) in cursor.fetchall()]


def drop_trigger(word):
    [name] = [name for name in triggers() if word in name]
    with connection.cursor() as cursor:
        on = " ON devices_device" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER {name}{on}")


def drop_table():
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE devices_text")


@pytest.mark.parametrize(
    "lose",
    [
        *(partial(drop_trigger, word) for word in ("insert", "update", "delete")),
        pytest.param(
            partial(drop_trigger, "truncate"),
            marks=pytest.mark.skipif(connection.vendor == "sqlite", reason="it cannot truncate"),
        ),
    ],
)
def test_index_that_lost_a_trigger_is_not_asked_and_is_made_anew(make_device, lose):
    first = make_device("berlin")
    lose()
    second = make_device("berlin-2")
    unknown = found("berlin")

    search_index.ensure(using="default")
    third = make_device("berlin-3")

    assert unknown is None
    assert sorted(found("berlin")) == [first.pk, second.pk, third.pk]


def test_index_without_its_table_is_not_asked_and_is_made_anew(make_device):
    device = make_device("berlin")
    drop_table()
    unknown = found("berlin")

    search_index.ensure(using="default")

    assert unknown is None
    assert found("berlin") == [device.pk]


def test_index_of_another_version_is_not_asked_and_is_made_anew(make_device, monkeypatch):
    device = make_device("berlin")
    with monkeypatch.context() as earlier:
        one_more = (*search_index.DEFINITIONS[connection.vendor], "DELETE FROM devices_text")
        earlier.setitem(search_index.DEFINITIONS, connection.vendor, one_more)
        search_index.ensure(using="default")
        of_the_earlier = found("berlin")
    unknown = found("berlin")

    search_index.ensure(using="default")

    assert of_the_earlier == []
    assert unknown is None
    assert found("berlin") == [device.pk]


def test_database_that_cannot_have_the_index_keeps_no_trigger(make_device, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(search_index, "is_possible", lambda vendor: False)
        search_index.ensure(using="default")
        device = make_device("berlin")
        kept, unknown = triggers(), found("berlin")

    search_index.ensure(using="default")

    assert (kept, unknown) == ([], None)
    assert found("berlin") == [device.pk]


def test_migration_finds_no_trigger_in_its_way(make_device):
    device = make_device("berlin")
    config = apps.get_app_config("devices")
    signal = {"sender": config, "app_config": config, "using": "default", "apps": apps}

    pre_migrate.send(**signal, plan=[])
    nothing_to_do = triggers()
    pre_migrate.send(**signal, plan=[(Migration("0099_next", "devices"), False)])
    away, unknown = triggers(), found("berlin")
    search_index.ensure(using="default")

    assert nothing_to_do == triggers() != []
    assert (away, unknown) == ([], None)
    assert found("berlin") == [device.pk]


def test_index_that_is_kept_is_left_alone(make_device, django_assert_num_queries):
    make_device("berlin")

    # A savepoint and its end, the tables, the triggers; and what no other host may do meanwhile.
    with django_assert_num_queries(5 if connection.vendor == "postgresql" else 4):
        search_index.ensure(using="default")
