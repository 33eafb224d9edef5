"""The console looks for the index of the devices' texts when it starts."""

import pytest
from django.db import DatabaseError, connection

from devices import search_index
from tests.people_and_devices import make_device, now, zone
from zcc.ground import here
from zcc.processes import parts

__all__ = ["make_device", "now", "zone"]

pytestmark = pytest.mark.django_db(transaction=True)

IDENTITY = here.Identity(name="ps1", guid="ps1-guid", dns_name="ps1.test.zone", address="127.0.0.1")


@pytest.fixture
def started(monkeypatch):
    """What the console served: whether a connection was open when it began."""
    begun = []
    monkeypatch.setattr(parts, "serve_wsgi", lambda **_: begun.append(connection.connection))
    monkeypatch.setattr(parts.tls, "HotContext", lambda *_: None)
    return begun


def test_console_that_starts_makes_an_index_that_is_gone(make_device, started):
    device = make_device("berlin")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE devices_text" + " CASCADE" * (connection.vendor != "sqlite"))

    parts.console(IDENTITY)

    assert started == [None]
    assert search_index.numbers("berlin", most=1) == [device.pk]


def test_console_starts_without_its_database(started, monkeypatch, caplog):
    def fail(**_):
        raise DatabaseError("permission denied for table devices_device")

    monkeypatch.setattr(search_index, "ensure", fail)

    parts.console(IDENTITY)

    assert len(started) == 1
    assert "could not be made" in caplog.text
