"""Ten minutes before the activation: armed, or held with the names of those who would be lost."""

import random
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection

from certificates import api, guard
from certificates.actions import decisions, operations
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
    api.join_operation(other, now=clock.now())
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


ROUNDS = 250


def at_once(*actions):
    """Call the actions in threads at the same moment; return which did what they were to do."""
    done, start = [], threading.Barrier(len(actions))

    def call(name, action):
        try:
            start.wait()
            if action():
                done.append(name)
        except (operations.NotPossibleNow, decisions.NotPossibleNow, *operations.OVERTAKEN):
            pass  # told that another one was first
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=item) for item in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done)


class Race:
    """One operation that four people and the guard want something of at the same moment."""

    def __init__(self, living, operation, device, chance):
        self.living, self.device, self.chance = living, device, chance
        self.planned = operation.activate_at
        self.later = self.planned + timedelta(days=2)

    def postpone(self, it):
        decisions.postpone(it, to=self.later, by=self.living.alice, now=clock.now())
        return True

    def cancel(self, it):
        now = it.cutoff_at - timedelta(seconds=1)
        operations.cancel(it, by=self.living.alice, now=now)
        return True

    def arm(self, it):
        now = self.planned - timedelta(minutes=9)
        return operations.advance(it, now=now) and it.state == "armed"

    def sign(self, it):
        return bool(sign_off(self.living, it, [self.device]))

    def later_or_sooner(self, name):
        """The guard asks before it arms, so the others come at the same time if they come later."""
        act, it = getattr(self, name), Operation.objects.get()
        wait = 0 if name == "arm" else self.chance.random() / 30

        def call():
            time.sleep(wait)
            return act(it)

        return call

    def run(self):
        """Return what was done, by name, and the operation as it is then."""
        Operation.objects.update(state="assigned", activate_at=self.planned, held_reason="")
        operation = Operation.objects.get()
        operation.sign_offs.all().delete()
        if self.chance.random() < 0.5:
            sign_off(self.living, operation, [self.device])
        operation.events.all().delete()
        names = ["postpone", "cancel", "arm", "sign"]
        self.chance.shuffle(names)
        calls = [(name, self.later_or_sooner(name)) for name in names]
        return at_once(*calls), Operation.objects.get()


@pytest.mark.django_db(transaction=True)
def test_postpone_sign_off_cancel_and_the_guard_have_one_winner(living, ws1):
    seed = random.randrange(2**32)
    operation = living.reach("assigned")
    forget_everything(ws1)
    race = Race(living, operation, ws1, random.Random(seed))
    winners = set()
    for _ in range(ROUNDS):
        done, after = race.run()
        states = [event.state for event in after.events.all() if not event.note]
        assert [after.state] == (states or ["assigned"]), (seed, done)
        if after.state == "armed":
            assert "postpone" not in done and after.activate_at < race.later, (seed, done)
        winners.add(after.state)
    assert {"armed", "cancelling"} <= winners, (seed, winners)
