"""The audit log says who signed in and out, and who could not: without secrets, and in numbers."""

from datetime import timedelta

import pytest

from tests.people_and_devices import PASSWORD, alice, bob, now, zone
from zcc.ground.models import AuditEvent
from zcc.sign_in import MOST_FAILED

__all__ = ["alice", "bob", "now", "zone"]
LOG = "/audit-log/"


def sign_in(client, username="bob", password=PASSWORD):
    return client.post("/login/", {"username": username, "password": password})


def events(**found):
    return list(AuditEvent.objects.filter(**found).order_by("pk"))


def test_signing_in_and_out_is_recorded_with_who_and_from_where(client, bob, zone):
    sign_in(client)
    client.post("/logout/")

    told = [(event.what, event.subject, event.by, event.note) for event in events()]
    origin = "from 127.0.0.1"
    assert told == [("Signed in", "bob", bob, origin), ("Signed out", "bob", bob, origin)]


def test_failure_is_recorded_of_the_user_and_nobody_did_it(client, bob, alice, zone):
    sign_in(client, password="wrong")

    (event,) = events(what="Sign-in failed")
    assert (event.subject, event.by) == ("bob", None)
    client.force_login(alice)
    assert "nobody signed in" in client.get(LOG).text
    assert client.get(LOG, {"by": "software"}).context["log"].rows == []
    assert len(client.get(LOG, {"kind": "user"}).context["log"].rows) == 1


def test_what_was_typed_is_not_written_down(client, bob, zone):
    sign_in(client, username="my secret passphrase", password="another secret")

    (event,) = events()
    assert event.subject == "an unknown user"
    assert "secret" not in str([str(row) for row in AuditEvent.objects.values()])


def test_form_that_is_not_filled_in_is_no_attempt(client, bob, zone):
    sign_in(client, password="")

    assert events() == []


@pytest.mark.parametrize("name", ["bob", "nobody-{}"])
def test_flood_of_failures_does_not_flood_the_log(client, bob, zone, name):
    for number in range(3 * MOST_FAILED):
        sign_in(client, username=name.format(number), password="wrong")

    found = events()
    assert len(found) == MOST_FAILED
    assert found[-1].note.endswith("for 15 minutes")


def test_failure_belongs_to_the_user_whom_the_form_means(client, bob, zone):
    sign_in(client, username=" bob", password="wrong")
    sign_in(client, username="\uff42\uff4f\uff42", password="wrong")

    assert [event.subject for event in events()] == ["bob", "bob"]


def test_pause_is_told_of_although_failures_are_not_any_more(client, bob, zone, settings):
    settings.AXES_ENABLED = True
    for address in ("198.51.100.1", "198.51.100.2"):
        for _ in range(MOST_FAILED + 2):
            client.post("/login/", {"username": "bob", "password": "wrong"}, REMOTE_ADDR=address)

    paused = [event.note for event in events(what="Sign-in paused")]
    assert [note.split(";")[0] for note in paused] == ["from 198.51.100.1", "from 198.51.100.2"]
    assert len(events(what="Sign-in failed")) == MOST_FAILED


def test_later_failures_are_told_of_again(client, bob, zone, now):
    for number in range(2 * MOST_FAILED):
        sign_in(client, username=f"nobody-{number}", password="wrong")
    AuditEvent.objects.update(at=now - timedelta(hours=1))

    sign_in(client, username="nobody", password="wrong")

    assert len(events()) == MOST_FAILED + 1
