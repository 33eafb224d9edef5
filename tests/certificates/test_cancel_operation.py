"""The button `Cancel` of the operation message."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.actions import operations
from certificates.models import Operation
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


def address(operation):
    return reverse("certificates:cancel_operation", args=[operation.pk])


@pytest.mark.parametrize("state", ["preparing", "replicating", "assigned"])
def test_cancel_takes_the_operation_back(client, alice, make_operation, state):
    operation = make_operation(state)
    client.force_login(alice)

    assert_is_closed(client.post(address(operation)))

    last = operation.events.last()
    assert Operation.objects.get().state == "cancelling"
    assert (last.state, last.by) == ("cancelling", alice)


def test_cancel_is_credited_to_who_pressed_it_in_the_deployment_history(
    client, alice, make_operation, now
):
    operation = make_operation("assigned")
    client.force_login(alice)
    client.post(address(operation))
    operation.refresh_from_db()
    operations.finish_cancel(operation, now=now)

    (row,) = client.get("/system-updates/history/").context["rows"]

    assert (row.last.state, row.last.by) == ("withdrawn", alice)


@pytest.mark.parametrize("state", ["armed", "overlap"])
def test_cancel_is_refused_once_it_is_armed(client, alice, make_operation, state):
    operation = make_operation(state)
    client.force_login(alice)

    assert_is_refused(client.post(address(operation)), "can no longer be canceled")
    assert Operation.objects.get().state == state


@pytest.mark.parametrize(("seconds", "status"), [(605, 303), (600, 422), (595, 422)])
def test_cancel_is_refused_from_ten_minutes_before_activation(
    client, alice, make_operation, now, seconds, status
):
    operation = make_operation("assigned", activate_at=now + timedelta(seconds=seconds))
    client.force_login(alice)

    assert client.post(address(operation)).status_code == status


def test_who_may_only_look_cannot(client, bob, make_operation):
    operation = make_operation()
    client.force_login(bob)

    assert client.post(address(operation)).status_code == 403
    assert Operation.objects.get().state == "preparing"


def test_second_click_is_told_that_it_is_done(client, alice, make_operation):
    operation = make_operation()
    client.force_login(alice)
    client.post(address(operation))

    assert_is_refused(client.post(address(operation)), "is being canceled already")


def test_dialog_says_what_is_removed_and_until_when(client, alice, make_operation):
    operation = make_operation("assigned")
    client.force_login(alice)

    page = client.get(address(operation))

    assert "3 future certificates and the system update are removed from 3 servers" in page.text
    assert "You can cancel until" in page.text
    assert ">Cancel the operation<" in page.text
    assert "Keep going" in page.text


def test_dialog_after_the_cutoff_offers_nothing(client, alice, make_operation):
    operation = make_operation("armed")
    client.force_login(alice)

    page = client.get(address(operation))

    assert "It can no longer be canceled." in page.text
    assert ">Cancel the operation<" not in page.text


def test_button_is_disabled_with_its_reason_from_the_cutoff_on(client, alice, make_operation, now):
    operation = make_operation("assigned", activate_at=now + timedelta(minutes=9))
    client.force_login(alice)

    page = client.get("/certificates/")

    assert "It activates in less than 10 min" in page.text
    assert f'hx-get="{address(operation)}"' not in page.text


def test_cancel_works_again_after_it_failed(client, alice, make_operation, now):
    operation = make_operation("assigned")
    operation.start_cancel(by=alice, at=now)
    operation.fail_cancel("ps2 did not confirm.", at=now)
    client.force_login(alice)

    assert_is_closed(client.post(address(operation)))
    assert Operation.objects.get().state == "cancelling"
