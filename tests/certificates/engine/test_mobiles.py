"""Mobiles through an operation: the two stages of the manual, and both of its offline rules."""

import json
from datetime import timedelta

import pytest

from certificates import due, guard, identities, trust
from certificates.actions import decisions
from certificates.models import CertificateAuthority, MobileIdentity, Operation
from devices import mobiles
from tests.zcc.est import Mobile, make_request
from zcc import device_api
from zcc.ground import clock, here


class Phone(Mobile):
    """A mobile that syncs: what it says is what it would have on its disk."""

    def sync(self, *steps, anchors=None):
        """Report these states of the update, and what it trusts; return the answer."""
        update = Operation.objects.latest("pk").update if Operation.objects.exists() else None
        report = {
            "trust": [ca.sha256 for ca in anchors or []] or list(self.device.trusted_fingerprints),
            "epoch": trust.published(self.zone).epoch,
            "steps": [
                {"update": str(update.guid), "attempt": 1, "state": state} for state in steps
            ],
        }
        scope = {"path": "/device/refresh", "headers": [], "state": self.state}
        status, answer = device_api.refresh(scope, json.dumps(report).encode())
        assert status == 200
        return answer

    @property
    def state(self):
        return {"client_certificate": self.der}

    @property
    def status(self):
        return self.device.updates.get().state

    @property
    def issuer(self):
        return self.row.authority


@pytest.fixture
def phone(living):
    found = Phone(living.zone)
    assert found.enrol().status == 200
    found.sync(anchors=[living.ca])
    return found


def take_new_ca(phone, operation):
    """Sync at Update Assigned: the new CA comes with the manifest."""
    assert phone.sync()["update"] is not None
    phone.sync("pending", anchors=[operation.old_ca, operation.new_ca])


def activate(living, operation):
    """Sign off whoever would be lost, arm, and activate."""
    lost = set(guard.lost(operation).values_list("pk", flat=True))
    if lost:
        decisions.sign_off(
            operation, lost, reason="They are away.", by=living.alice, now=clock.now()
        )
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    operation.refresh_from_db()
    assert operation.activated_at is not None
    return operation


def test_new_identity_comes_at_the_first_sync_after_the_activation(living, phone):
    operation = living.reach("assigned")
    take_new_ca(phone, operation)
    assert phone.status == "pending"
    assert phone.sync()["identity"]["renew"] is False
    activate(living, operation)

    assert phone.sync()["identity"]["renew"] is True
    phone.enrol_again()
    phone.sync("completed")

    assert phone.issuer == operation.new_ca
    assert phone.status == "completed"
    states = list(phone.device.identities.order_by("pk").values_list("state", flat=True))
    assert states == ["previous", "current"]
    events = phone.device.updates.get().events.values_list("state", flat=True)
    assert list(events) == ["assigned", "pending", "completed"]


def test_update_is_not_completed_with_the_old_identity(living, phone):
    operation = living.reach("assigned")
    take_new_ca(phone, operation)
    activate(living, operation)

    phone.sync("completed")

    assert phone.status == "pending"


def test_offline_at_assigned_catches_up_in_overlap(living, phone):
    operation = activate(living, living.reach("assigned"))
    assert phone.status == "assigned"

    assert phone.sync()["identity"]["renew"] is True
    take_new_ca(phone, operation)
    phone.enrol_again()
    phone.sync("completed")

    assert phone.status == "completed"


def test_offline_at_assigned_must_enrol_again_in_strict(living, phone):
    operation, week = living.reach("assigned", policy="strict"), timedelta(days=7)
    link = mobiles.make_link_again(phone.device, lifetime=week, by=living.alice, now=clock.now())
    activate(living, operation)

    with pytest.raises(identities.NotAccepted, match="Enrol it again by a link"):
        phone.sync()
    response = phone.enrol_again()
    assert response.status == 403

    again = Phone(living.zone, secret=link)
    assert again.enrol().status == 200
    again.sync("pending", "completed", anchors=[operation.new_ca])
    assert (again.device, again.issuer) == (phone.device, operation.new_ca)
    assert again.status == "completed"


def test_offline_at_pending_needs_nothing_in_strict(living, phone):
    operation = living.reach("assigned", policy="strict")
    take_new_ca(phone, operation)
    activate(living, operation)
    assert CertificateAuthority.objects.get(pk=operation.old_ca_id).state == "retired"

    assert phone.sync()["identity"]["renew"] is True
    phone.enrol_again()
    phone.sync("completed", anchors=[operation.new_ca])

    assert phone.issuer == operation.new_ca
    assert phone.status == "completed"


def test_every_server_lets_in_the_old_and_the_new_identities(living, phone):
    operation = living.reach("assigned", policy="strict")
    cas = {operation.old_ca.sha256, operation.new_ca.sha256}
    assert issuers(living) == cas

    activate(living, operation)

    assert issuers(living) == cas  # phone1 still has an identity of the retired CA


def issuers(living):
    """What the device API of each server verifies identities by; the same for all."""
    files = {here.home(name).read_file(here.ISSUERS) for name in living.servers}
    assert files == {identities.issuers_pem(living.zone)}
    certificates = CertificateAuthority.objects.exclude(der=None)
    [data] = files
    return {ca.sha256 for ca in certificates if trust.anchor_pem(ca).encode() in data}


def test_use_of_an_old_identity_keeps_the_old_ca_needed(living, phone):
    operation = living.reach("assigned")
    take_new_ca(phone, operation)
    activate(living, operation)
    assert operation.needed_at is None

    phone.sync()

    operation.refresh_from_db()
    assert operation.needed_at is not None


def test_rollback_takes_the_identities_back_too(living, phone):
    operation = living.reach("assigned")
    take_new_ca(phone, operation)
    activate(living, operation)
    phone.enrol_again()
    phone.sync("completed")
    decisions.roll_back(operation, reason="no", by=living.alice, now=clock.now())
    living.run()

    assert phone.sync()["identity"]["renew"] is True
    phone.enrol_again()

    assert phone.issuer == operation.old_ca


def test_mobile_that_enrols_during_an_operation_takes_part(living):
    living.reach("assigned")
    phone = Phone(living.zone)

    phone.enrol()

    assert phone.status == "assigned"


def test_request_is_signed_by_the_worker_that_the_tick_rings_for(living):
    phone = Phone(living.zone)
    phone.post("simpleenroll", make_request(phone.key), secret=phone.secret)

    living.run(only="issue_identity")

    assert MobileIdentity.objects.get().state == "issued"


def test_nothing_rings_while_no_mobile_asks(living, phone):
    rings = [ring.task for ring in due.rings(living.zone, now=clock.now())]

    assert not any(task.endswith("issue_identity") for task in rings)
