"""A device counts as proven if it trusts the new CA and saw a certificate that will be shown."""

import pytest

from certificates import api, guard, taking_part
from certificates.models import ServerCertificate
from devices import actions as devices
from devices import contacts
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates.engine.test_guard import (
    at_cutoff,
    be_ready,
    leaf_of,
    report_proof,
    ws1,
)
from zcc.ground import clock

__all__ = ["ws1"]
REFUSED = {"problem": "It cannot agree on a TLS connection.", "refused": True}


@pytest.fixture
def operation(living):
    return living.reach("assigned", policy="strict")


def is_proven(device, operation):
    return guard.proven(operation).filter(device=device).exists()


def report_trust(device, *authorities):
    found = Device.objects.get(pk=device.pk)
    trusted = {"trust": [ca.sha256 for ca in authorities]}
    contacts.record_contact(found, trusted, now=clock.now())


def test_right_leaf_from_a_device_that_trusts_only_the_old_ca_proves_nothing(
    living, operation, ws1
):
    be_ready(ws1, operation)
    report_trust(ws1, operation.old_ca)

    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))

    assert not is_proven(ws1, operation)
    assert list(guard.lost(operation)) == [ws1]
    assert "would be lost" in at_cutoff(living, operation).held_reason


def test_retired_device_is_not_among_the_proven(operation, ws1):
    be_ready(ws1, operation)
    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))
    assert is_proven(ws1, operation)

    Device.objects.filter(pk=ws1.pk).update(retired_at=clock.now())

    assert not is_proven(ws1, operation)


def test_proof_ends_when_the_device_does_not_trust_the_new_ca_any_more(operation, ws1):
    be_ready(ws1, operation)
    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))
    assert is_proven(ws1, operation)

    report_trust(ws1, operation.old_ca)
    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))  # sent again, as agents do

    assert not is_proven(ws1, operation)
    assert api.prove_for(Device.objects.get(pk=ws1.pk)) is not None


def test_leaf_of_another_operation_proves_nothing(living, ws1):
    first = living.reach("overlap")
    second = living.reach("assigned", policy="strict")
    be_ready(ws1, second)

    report_proof(ws1, second, leaf=leaf_of("ps1", first))

    assert not is_proven(ws1, second)


def test_proof_for_another_operation_is_none_for_this_one(living, ws1):
    first = living.reach("overlap")
    second = living.reach("assigned", policy="strict")
    be_ready(ws1, second)

    report_proof(ws1, first, leaf=leaf_of("ps1", second))

    assert not is_proven(ws1, second)


@pytest.mark.parametrize("state", ["current", "previous", "cancelled"])
def test_leaf_that_is_live_or_was_proves_nothing(operation, ws1, state):
    be_ready(ws1, operation)
    live = ServerCertificate.objects.current().get(device__name="ps2")
    ServerCertificate.objects.filter(pk=live.pk).move(to=state)

    report_proof(ws1, operation, leaf=live.sha256)

    assert not is_proven(ws1, operation)


def test_device_proves_nothing_for_another_one(living, operation, ws1):
    other = living.add_workstation("ws2")
    taking_part.join_operation(other, now=clock.now())
    be_ready(ws1, operation)
    be_ready(other, operation)
    proof = {"update": str(operation.update.guid), "leaf": leaf_of("ps1", operation)}

    named = {"device": str(other.guid), "name": other.name}
    api.record(ws1, {**named, "proof": {**named, **proof}}, now=clock.now())

    assert is_proven(ws1, operation)
    assert not is_proven(other, operation)


def test_proof_does_not_outlast_a_new_installation(living, operation, ws1):
    be_ready(ws1, operation)
    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))
    key = devices.create_registration_key(living.zone, name="k", now=clock.now())
    told = {"name": ws1.name, "kind": "workstation", "dns_name": ws1.dns_name}

    again, _ = devices.enrol(key, devices.check_enrolment(told), now=clock.now())
    taking_part.enrolled(again, now=clock.now())

    assert not is_proven(ws1, operation)
    row = operation.update.device_updates.get(device=ws1)
    assert (row.state, row.proof_leaf, row.proven_at) == ("assigned", "", None)
    assert row.events.last().state == "assigned"


def test_link_carries_nobody_who_has_refused_the_canary(living, ws1):
    operation = living.reach("assigned")
    be_ready(ws1, operation)
    report_proof(ws1, operation, **REFUSED)

    assert at_cutoff(living, operation).state == "assigned"
    (entry,) = guard.why_lost(guard.lost(operation), operation)
    assert (entry.device, entry.more) == (ws1, REFUSED["problem"])
    report_proof(ws1, operation, leaf=leaf_of("ps2", operation))
    assert at_cutoff(living, operation).state == "armed"


def test_link_carries_a_device_that_reached_no_canary(living, ws1):
    operation = living.reach("assigned")
    be_ready(ws1, operation)

    report_proof(ws1, operation, problem="ps1 did not answer.", refused=False)

    assert at_cutoff(living, operation).state == "armed"


def test_refusal_ends_a_proof_and_silence_does_not(operation, ws1):
    be_ready(ws1, operation)
    report_proof(ws1, operation, leaf=leaf_of("ps1", operation))

    report_proof(ws1, operation, problem="ps1 did not answer.")
    assert is_proven(ws1, operation)
    report_proof(ws1, operation, **REFUSED)
    assert not is_proven(ws1, operation)
    report_proof(ws1, operation, problem="ps1 did not answer.")

    assert DeviceUpdate.objects.get(device=ws1).proof_refused
