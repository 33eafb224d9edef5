"""The button `Clear message` of a cancel that failed."""

import pytest
from django.urls import reverse

from certificates.models import Operation
from tests.certificates.dialogs import assert_is_closed

PROBLEM = "ps2 did not confirm that it removed what the operation left."


@pytest.fixture
def operation(make_operation, alice, now):
    operation = make_operation("assigned")
    operation.start_cancel(by=alice, at=now)
    operation.fail_cancel(PROBLEM, at=now)
    return operation


def address(operation):
    return reverse("certificates:clear_failure", args=[operation.pk])


def test_message_stays_until_it_is_cleared(client, alice, operation):
    client.force_login(alice)
    assert PROBLEM in client.get("/certificates/").text

    assert_is_closed(client.post(address(operation)))

    assert PROBLEM not in client.get("/certificates/").text
    assert Operation.objects.get().state == "cancel_failed"


def test_history_keeps_the_message(client, alice, operation):
    client.force_login(alice)
    client.post(address(operation))

    assert PROBLEM in client.get(reverse("certificates:operation", args=[operation.pk])).text


def test_who_may_only_look_cannot(client, bob, operation):
    client.force_login(bob)

    assert client.post(address(operation)).status_code == 403
    assert Operation.objects.get().problem == PROBLEM


def test_message_that_is_gone_is_not_an_error(client, alice, operation):
    client.force_login(alice)
    client.post(address(operation))

    assert "The message is cleared already." in client.get(address(operation)).text


def test_dialog_shows_the_message(client, alice, operation):
    client.force_login(alice)

    page = client.get(address(operation))

    assert PROBLEM in page.text
    assert "It stays in the history of the operation." in page.text
