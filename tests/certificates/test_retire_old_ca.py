"""The button `Retire old CA`."""

import html
import re
from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.models import CertificateAuthority, Operation
from devices.models import Device
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

DATA = {"confirmed": "on", "password": PASSWORD, "reason": "auth1 is scrapped."}


def address(operation):
    return reverse("certificates:retire_old_ca", args=[operation.pk])


def test_retiring_ends_the_overlap(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_closed(client.post(address(operation), DATA))

    last = operation.events.last()
    assert Operation.objects.get().state == "completed"
    assert (last.state, last.by) == ("completed", alice)
    operation.old_ca.refresh_from_db()
    assert operation.old_ca.state == "retired"


@pytest.mark.parametrize(("kind", "is_said"), [("internal", True), ("external", False)])
def test_nothing_is_said_of_link_and_key_of_an_external_ca(
    client, alice, make_operation, kind, is_said
):
    operation = make_operation("overlap")
    CertificateAuthority.objects.filter(pk=operation.old_ca_id).update(kind=kind)
    client.force_login(alice)

    page = client.get(address(operation)).text

    assert "devices forget the old CA at their next refresh" in page.replace("Devices", "devices")
    assert ("Servers stop sending the link" in page) is is_said
    assert ("Its key is destroyed" in page) is is_said


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("confirmed", "Tick the box if you want to retire the old CA."),
        ("password", "Enter your password."),
    ],
)
def test_missing_answers_are_asked_for(client, alice, make_operation, field, sentence):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_refused(client.post(address(operation), {**DATA, field: ""}), sentence)
    assert Operation.objects.get().state == "overlap"


def test_who_may_only_look_cannot(client, bob, make_operation):
    operation = make_operation("overlap")
    client.force_login(bob)

    assert client.post(address(operation), DATA).status_code == 403
    assert Operation.objects.get().state == "overlap"


def test_it_is_refused_before_there_is_an_overlap(client, alice, make_operation):
    operation = make_operation("assigned")
    client.force_login(alice)

    assert "There is no overlap to end" in client.get(address(operation)).text
    assert client.post(address(operation), DATA).status_code == 422
    assert Operation.objects.get().state == "assigned"


def test_it_is_refused_while_another_operation_is_open(client, alice, make_operation, now):
    operation = make_operation("overlap")
    building.make_operation(operation.new_ca, by=alice, now=now)
    client.force_login(alice)

    assert_is_refused(client.post(address(operation), DATA), "Remint CA is in progress.")
    operation.refresh_from_db()
    assert operation.state == "overlap"


def listed(client, page):
    """How many the dialog says have not been heard of, and who is on the page that it links to."""
    href, number = re.search(r'href="([^"]+)">View all (\d+) not heard of since the', page).groups()
    rows = client.get(html.unescape(href)).context["listing"].page.rows
    return int(number), [row.name for row in rows]


def test_dialog_names_who_trusts_only_the_old_ca(client, alice, make_operation, now):
    operation = make_operation("overlap")
    old, new = operation.old_ca.sha256, operation.new_ca.sha256
    Device.objects.update(trusted_fingerprints=[old, new])
    Device.objects.filter(name="auth1").update(
        trusted_fingerprints=[old], last_contact_at=now - timedelta(days=1)
    )
    client.force_login(alice)

    page = client.get(address(operation))

    assert "1 device trusts only the old CA, by its last report" in page.text
    assert "1 of them has not reported since the activation." in page.text
    assert page.text.count(">auth1</a>") == 1
    assert listed(client, page.text) == (1, ["auth1"])
    assert "other device" not in page.text
    assert "Other programs cannot be seen." in page.text
    assert "Your password" in page.text


def test_dialog_names_the_others_of_which_nothing_is_known(client, alice, make_operation, now):
    operation = make_operation("overlap")
    silent = now - timedelta(days=1)
    Device.objects.update(trusted_fingerprints=[operation.old_ca.sha256, operation.new_ca.sha256])
    Device.objects.filter(name="ps2").update(last_contact_at=silent)
    client.force_login(alice)
    alone = client.get(address(operation)).text

    Device.objects.filter(name="auth1").update(trusted_fingerprints=[operation.old_ca.sha256])
    beside = client.get(address(operation)).text

    assert "1 device has not reported since the activation" in alone
    assert "1 other device has not reported since the activation" in beside
    assert "of them" not in beside
    assert listed(client, beside) == (1, ["ps2"])
    assert beside.count(">ps2</a>") == 1


def test_who_loses_devices_says_why_and_it_is_kept(client, alice, make_operation):
    operation = make_operation("overlap")
    Device.objects.filter(name="auth1").update(trusted_fingerprints=[operation.old_ca.sha256])
    client.force_login(alice)

    untold = DATA | {"reason": ""}
    assert_is_refused(client.post(address(operation), untold), "Say why: somebody will ask.")
    assert Operation.objects.get().state == "overlap"
    assert_is_closed(client.post(address(operation), DATA))

    assert operation.events.last().note == "auth1 is scrapped."


def test_dialog_says_when_nobody_needs_it(client, alice, make_operation):
    operation = make_operation("overlap")
    Device.objects.update(trusted_fingerprints=[operation.old_ca.sha256, operation.new_ca.sha256])
    client.force_login(alice)

    page = client.get(address(operation)).text
    assert "No running agent trusts only the old CA" in page
    assert 'name="reason"' not in page


def test_dialog_tells_when_the_old_ca_was_needed_last(client, alice, make_operation, now):
    operation = make_operation("overlap")
    Device.objects.exclude_primary_servers().update(
        trusted_fingerprints=[operation.old_ca.sha256, operation.new_ca.sha256]
    )
    client.force_login(alice)
    assert "None was heard of since the activation." in client.get(address(operation)).text

    Operation.objects.update(needed_at=now - timedelta(days=31))

    assert "The last one was heard of" in client.get(address(operation)).text
