"""Ten minutes before the activation: armed, or held with the names of those who would be lost."""

from datetime import timedelta

import pytest

from certificates import api, guard, taking_part
from certificates.actions import decisions
from certificates.models import Operation, ServerCertificate
from devices.models import Device
from systemupdates.models import DeviceUpdate
from zcc.ground import clock


@pytest.fixture
def ws1(living):
    return Device.objects.get(name="ws1")


def forget_everything(device):
    """The device's trust was emptied: no link and no rescue port can help it."""
    Device.objects.filter(pk=device.pk).update(trusted_fingerprints=["ab" * 32])


def at_cutoff(living, operation):
    living.run(at=operation.cutoff_at)
    operation.refresh_from_db()
    return operation


def report_proof(device, operation, **proof):
    update = str(operation.update.guid)
    device = Device.objects.get(pk=device.pk)
    api.record(device, {"proof": {"update": update, **proof}}, now=clock.now())


def be_ready(device, operation):
    """The device holds the new CA, beside the old one."""
    both = sorted([operation.old_ca.sha256, operation.new_ca.sha256])
    Device.objects.filter(pk=device.pk).update(trusted_fingerprints=both)
    rows = DeviceUpdate.objects.filter(device=device, update=operation.update)
    rows.move(to="pending", by=None, at=clock.now())


def leaf_of(server, operation):
    return ServerCertificate.objects.get(device__name=server, operation=operation).sha256


def test_device_that_the_link_carries_holds_nobody_up(living, ws1):
    operation = living.reach("assigned")

    assert at_cutoff(living, operation).state == "armed"
    assert not guard.proven(operation).exists()


def test_device_that_nothing_carries_holds_the_operation(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)

    at_cutoff(living, operation)

    assert operation.state == "assigned"
    assert operation.held_reason == "1 device would be lost at the activation: ws1."
    (entry,) = guard.why_lost(guard.lost(operation), operation)
    assert (entry.device, entry.helps) == (ws1, "Run the Certificate Updater Tool")


def test_mobile_that_nothing_carries_is_helped_by_a_re_enrolment_link(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)
    Device.objects.filter(pk=ws1.pk).update(kind="mobile")

    (entry,) = guard.why_lost(guard.lost(operation), operation)

    assert entry.helps == "Enrol it again with a re-enrolment link"


def test_in_strict_only_the_proof_counts(living, ws1):
    operation = living.reach("assigned", policy="strict")
    assert list(guard.lost(operation)) == [ws1]
    be_ready(ws1, operation)
    assert list(guard.lost(operation)) == [ws1]

    report_proof(ws1, operation, leaf=leaf_of("ps2", operation))

    assert not guard.lost(operation).exists()
    assert at_cutoff(living, operation).state == "armed"


@pytest.mark.parametrize("leaf", ["cd" * 32, "x", "", None, 7])
def test_proof_by_another_certificate_is_none(living, ws1, leaf):
    operation = living.reach("assigned", policy="strict")
    be_ready(ws1, operation)

    report_proof(ws1, operation, leaf=leaf)

    assert list(guard.lost(operation)) == [ws1]


def test_proof_ends_when_the_servers_future_certificate_is_replaced(living, ws1):
    operation = living.reach("assigned", policy="strict")
    be_ready(ws1, operation)
    report_proof(ws1, operation, leaf=leaf_of("ps2", operation))
    assert not guard.lost(operation).exists()
    assert api.prove_for(ws1) is None

    ServerCertificate.objects.filter(device__name="ps2", operation=operation).move(to="cancelled")

    assert list(guard.lost(operation)) == [ws1]
    asked = api.prove_for(ws1)
    assert asked["new_anchor"] == operation.new_ca.sha256
    assert len(asked["canaries"]) == 3


def test_failed_proof_is_shown_and_asked_for_again(living, ws1):
    operation = living.reach("assigned", policy="strict")
    be_ready(ws1, operation)

    report_proof(ws1, operation, problem="The proof for the new CA failed: no answer.")

    (entry,) = guard.why_lost(guard.lost(operation), operation)
    assert entry.more == "The proof for the new CA failed: no answer."
    assert api.prove_for(ws1) is not None


def test_ignored_and_retired_devices_are_not_counted(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)
    other = living.add_workstation("ws2")
    forget_everything(other)
    taking_part.join_operation(other, now=clock.now())
    DeviceUpdate.objects.filter(device=ws1).move(to="ignored", by=living.alice, at=clock.now())
    Device.objects.filter(pk=other.pk).update(retired_at=clock.now())

    assert at_cutoff(living, operation).state == "armed"


def sign_off(living, operation, devices):
    ids = {device.pk for device in devices}
    return decisions.sign_off(
        operation, ids, reason="on the shelf", by=living.alice, now=clock.now()
    )


def test_signed_off_devices_do_not_hold_it_and_one_more_makes_it_void(living, ws1):
    operation = living.reach("assigned")
    five = [ws1, *[living.add_workstation(f"shelf-{number}") for number in range(4)]]
    for device in five:
        forget_everything(device)
    at_cutoff(living, operation)
    signed = sign_off(living, operation, five)
    sixth = living.add_workstation("shelf-9")
    forget_everything(sixth)

    assert at_cutoff(living, operation).state == "assigned"
    assert "6 devices would be lost" in operation.held_reason
    signed.refresh_from_db()
    assert signed.voided_at is not None

    sign_off(living, operation, [*five, sixth])
    assert at_cutoff(living, operation).state == "armed"
    assert operation.events.filter(note__startswith="6 devices signed off: ").exists()


def test_list_that_has_changed_is_not_signed_off(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)

    with pytest.raises(decisions.ListChanged):
        sign_off(living, operation, [])
    assert not operation.sign_offs.exists()


def test_sign_off_of_more_than_would_be_lost_covers_only_those(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)

    signed = sign_off(living, operation, [ws1, living.add_workstation("fine")])

    assert signed.devices == [[ws1.pk, "ws1"]]


def test_postponed_operation_is_not_held_and_is_looked_at_again(living, ws1):
    operation = living.reach("assigned")
    forget_everything(ws1)
    at_cutoff(living, operation)
    later = operation.activate_at + timedelta(days=3)

    decisions.postpone(operation, to=later, by=living.alice, now=clock.now())

    operation.refresh_from_db()
    assert (operation.activate_at, operation.held_reason) == (later, "")
    living.run(at=later - timedelta(hours=1))
    assert Operation.objects.get().held_reason == ""
    assert "would be lost" in at_cutoff(living, operation).held_reason


def test_time_at_which_it_cannot_activate_is_refused(living):
    operation = living.reach("assigned")
    planned = operation.activate_at

    with pytest.raises(decisions.NotPossibleNow, match="has passed"):
        decisions.postpone(
            operation, to=clock.now() - timedelta(minutes=1), by=living.alice, now=clock.now()
        )
    with pytest.raises(decisions.NotPossibleNow, match="expires before"):
        decisions.postpone(
            operation, to=operation.old_ca.expires_at, by=living.alice, now=clock.now()
        )
    assert Operation.objects.get().activate_at == planned


def test_armed_operation_can_neither_be_postponed_nor_signed_off(living, ws1):
    operation = at_cutoff(living, living.reach("assigned"))
    later = operation.activate_at + timedelta(days=1)

    with pytest.raises(decisions.NotPossibleNow, match="armed"):
        decisions.postpone(operation, to=later, by=living.alice, now=clock.now())
    with pytest.raises(decisions.NotPossibleNow, match="armed"):
        sign_off(living, operation, [ws1])
