"""The button that retires the CA of an operation that was rolled back."""

import pytest
from django.urls import reverse

from certificates.actions import decisions
from certificates.models import CertificateAuthority
from devices.models import Device
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

DATA = {"confirmed": "on", "password": PASSWORD}


def address(operation):
    return reverse("certificates:retire_rolled_back_ca", args=[operation.pk])


@pytest.fixture
def rolled_back(make_operation, alice, now):
    operation = make_operation("overlap")
    decisions.roll_back(operation, reason="readers refuse it", by=alice, now=now)
    operation.finish_rollback(at=now)
    return operation


def states():
    rows = CertificateAuthority.objects.order_by("generation")
    return list(rows.values_list("state", flat=True))


def test_rolled_back_ca_is_retired_and_the_active_one_stays(client, alice, rolled_back):
    client.force_login(alice)

    response = client.post(address(rolled_back), DATA)

    assert_is_closed(response, to="/certificates/authorities/")
    assert states() == ["active", "retired"]
    last = rolled_back.events.last()
    said = f"CA retired: {rolled_back.new_ca.named}."
    assert (last.state, last.note, last.by) == ("rolled_back", said, alice)


@pytest.mark.parametrize("field", ["confirmed", "password"])
def test_missing_answers_are_asked_for(client, alice, rolled_back, field):
    client.force_login(alice)

    response = client.post(address(rolled_back), {**DATA, field: ""})

    assert_is_refused(response, "Tick the box" if field == "confirmed" else "Enter your password.")
    assert states() == ["active", "superseded"]


def test_who_may_only_look_cannot(client, bob, rolled_back):
    client.force_login(bob)

    assert client.post(address(rolled_back), DATA).status_code == 403
    assert states() == ["active", "superseded"]


def test_it_is_refused_while_another_operation_is_open(client, alice, rolled_back, now):
    building.make_operation(CertificateAuthority.objects.get(state="active"), by=alice, now=now)
    client.force_login(alice)

    assert_is_refused(client.post(address(rolled_back), DATA), "Another operation is in progress.")
    assert states() == ["active", "superseded"]


def test_it_is_refused_when_nothing_was_rolled_back(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_refused(client.post(address(operation), DATA), "The operation is not rolled back.")
    assert states() == ["superseded", "active"]


def test_dialog_names_who_trusts_only_the_rolled_back_ca(client, alice, rolled_back):
    both = sorted(CertificateAuthority.objects.values_list("sha256", flat=True))
    Device.objects.update(trusted_fingerprints=both)
    Device.objects.filter(name="auth1").update(trusted_fingerprints=[rolled_back.new_ca.sha256])
    client.force_login(alice)

    page = client.get(address(rolled_back)).text

    assert "1 device trusts only the rolled-back CA" in page
    assert ">auth1</a>" in page
    assert "Your password" in page
