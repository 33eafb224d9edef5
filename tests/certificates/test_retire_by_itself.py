"""The setting that lets the old CA be retired by itself after quiet days."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.actions import operations
from certificates.models import Operation
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

DATA = {"by_itself": "on", "days": "30", "password": PASSWORD}


def address(operation):
    return reverse("certificates:retire_by_itself", args=[operation.pk])


def last_note(operation):
    event = operation.events.last()
    return event.state, event.note, event.by


def test_days_are_set_and_the_history_says_by_whom(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_closed(client.post(address(operation), DATA))

    assert Operation.objects.get().retire_after == 30
    assert last_note(operation) == ("overlap", "Retirement: By itself after 30 quiet days.", alice)
    assert "Retires by itself on" in client.get("/certificates/").text


def test_it_is_changed_and_switched_off_again(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    for data, after in [(DATA, 30), ({**DATA, "days": "90"}, 90), ({"password": PASSWORD}, None)]:
        assert_is_closed(client.post(address(operation), data))
        assert Operation.objects.get().retire_after == after

    assert last_note(operation) == ("overlap", "Retirement: By hand only.", alice)
    assert "It does not end by itself before" in client.get("/certificates/").text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"days": ""}, "Choose 1 to 365 days."),
        ({"days": "0"}, "Choose 1 to 365 days."),
        ({"days": "366"}, "Choose 1 to 365 days."),
        ({"days": "soon"}, "Choose 1 to 365 days."),
        ({"password": "wrong"}, "This is not your password."),
    ],
)
def test_bad_answers_are_refused(client, alice, make_operation, change, sentence):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_refused(client.post(address(operation), {**DATA, **change}), sentence)
    assert Operation.objects.get().retire_after is None


def test_days_that_have_passed_already_are_refused(client, alice, make_operation, now):
    operation = make_operation("overlap", at=now - timedelta(days=31))
    client.force_login(alice)

    response = client.post(address(operation), DATA)

    assert_is_refused(response, "Nobody who needs it was heard of for 31 days.")
    assert Operation.objects.get().retire_after is None


def test_who_may_only_look_cannot(client, bob, make_operation):
    operation = make_operation("overlap")
    client.force_login(bob)

    assert client.post(address(operation), DATA).status_code == 403
    assert Operation.objects.get().retire_after is None


def test_it_is_refused_before_there_is_an_overlap(client, alice, make_operation):
    operation = make_operation("assigned")
    client.force_login(alice)

    assert "There is no overlap to end" in client.get(address(operation)).text
    assert client.post(address(operation), DATA).status_code == 422
    assert Operation.objects.get().retire_after is None


def test_dialog_shows_its_fields_and_what_they_mean(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    page = client.get(address(operation)).text

    for text in (
        "Retire the old CA by itself",
        'value="30"',
        "Your password",
        "Devices that are away",
    ):
        assert text in page


def quiet(operation, days):
    Operation.objects.filter(pk=operation.pk).update(retire_after=days)
    return Operation.objects.get(pk=operation.pk)


def tick(operation, at):
    """Let ticks go by; return what has become of the operation and its old CA."""
    for _ in range(4):  # the waves of its update open before
        operations.advance(operation, now=at)
        operation.refresh_from_db()
    operation.old_ca.refresh_from_db()
    return operation.state, operation.old_ca.state


STAYS, ENDS = ("overlap", "superseded"), ("completed", "retired")


def test_tick_retires_when_the_days_have_passed_and_not_before(make_operation, now):
    operation = quiet(make_operation("overlap", at=now), 30)
    due_at = now + timedelta(days=30)

    assert tick(operation, due_at - timedelta(seconds=1)) == STAYS
    assert tick(operation, due_at) == ENDS

    note = "By itself: nobody who needs the old CA was heard of for 30 days."
    assert last_note(operation) == ("completed", note, None)


def test_device_that_needs_it_moves_the_day(make_operation, now):
    operation = quiet(make_operation("overlap", at=now), 30)
    Operation.objects.update(needed_at=now + timedelta(days=29))
    operation.refresh_from_db()

    assert tick(operation, now + timedelta(days=30)) == STAYS
    assert tick(operation, now + timedelta(days=59)) == ENDS


def test_it_waits_for_another_operation(make_operation, alice, now):
    operation = quiet(make_operation("overlap", at=now), 1)
    building.make_operation(operation.new_ca, by=alice, now=now)

    assert tick(operation, now + timedelta(days=2)) == STAYS


def test_it_waits_for_a_server_that_shows_its_old_certificate(make_operation, servers, now):
    operation = quiet(make_operation("overlap", at=now), 1)
    servers[1].certificates.current().move(to="previous")
    servers[1].certificates.filter(operation=None).move(to="current")

    assert tick(operation, now + timedelta(days=2)) == STAYS
    servers[1].certificates.current().move(to="previous")
    assert tick(operation, now + timedelta(days=2)) == ENDS
