"""Remint upon remint with devices that sleep: real keys, real handshakes, the agent's own code."""

from datetime import timedelta

import pytest

from agent import loop
from agent.client import Untrusted
from agent.device import Device as Agent
from certificates.actions import authorities, decisions, retirements
from certificates.models import CertificateAuthority, Operation
from certificates.retirement import Retirement
from devices.models import Device
from tests.certificates.engine.wire import on_the_wire, trusts
from zcc.ground import clock


@pytest.fixture
def wired(db, settings, tmp_path):
    yield from on_the_wire(settings, tmp_path)


def is_cut_off(wired, home):
    """Whether the device reaches no server, by no link and by no rescue port."""
    agent = Agent(home, log=print, wake=lambda: None)
    try:
        wired.meanwhile(lambda: agent.refresh(loop.now))
    except Untrusted:
        return True
    return False


def states(rows):
    return list(rows.order_by("pk").values_list("state", flat=True))


def test_devices_come_back_by_themselves_after_any_number_of_remints(wired):
    awake = wired.agent("awake")
    sleeps_until = {number: wired.agent(f"through-{number}") for number in (1, 2, 5, 10)}

    for number in range(1, 11):
        wired.remint_in_overlap(awake)
        if number == 2:  # the active CA is generation 3
            sleeps_until[7] = wired.agent("from-3-until-8")
        assert wired.links() == [(1, number + 1)]
        if number in sleeps_until:
            home = wired.wake(sleeps_until[number])
            assert trusts(home) == wired.anchors

    assert len(wired.anchors) == 11
    assert trusts(awake) == wired.anchors
    assert not any("Rescued" in line for line in wired.said)
    assert all(trusts(wired.wake(home)) == wired.anchors for home in sleeps_until.values())


def test_next_oldest_takes_over_when_the_oldest_is_retired(wired):
    only_1 = wired.agent("only-1")
    first = wired.remint_in_overlap()
    knows_2 = wired.agent("knows-2")
    wired.remint_in_overlap()
    assert wired.links() == [(1, 3)]
    assert [device.name for device in Retirement(first, now=clock.now()).first] == ["only-1"]

    authorities.retire_old_ca(first, by=wired.alice, now=clock.now())
    wired.run()

    assert wired.links() == [(2, 3)]
    assert states(Operation.objects) == ["completed", "overlap"]
    assert trusts(wired.wake(knows_2)) == wired.anchors
    assert states(CertificateAuthority.objects) == ["retired", "superseded", "active"]
    assert is_cut_off(wired, only_1)
    assert not any("Rescued" in line for line in wired.said)


def test_strict_after_overlaps_cuts_off_exactly_who_was_signed_off(wired):
    awake, sleeper = wired.agent("awake"), wired.agent("sleeper")
    wired.remint_in_overlap(awake)
    wired.remint_in_overlap(awake)
    operation = wired.assign(awake, policy="strict")
    asleep = {Device.objects.get(name="sleeper").pk}
    decisions.sign_off(operation, asleep, reason="in store", by=wired.alice, now=clock.now())

    wired.activate(operation, awake)

    assert states(Operation.objects) == ["completed"] * 3
    assert states(CertificateAuthority.objects) == ["retired"] * 3 + ["active"]
    assert wired.links() == []
    assert trusts(awake) == wired.anchors == [operation.new_ca.sha256]
    assert is_cut_off(wired, sleeper)


def retire_by_itself(wired, operation):
    retirements.retire_by_itself(operation, after=1, by=wired.alice, now=clock.now())
    wired.run(at=operation.activated_at + timedelta(days=1))
    return operation.new_ca


def retire_rolled_back(wired, operation):
    decisions.roll_back(operation, reason="readers refuse it", by=wired.alice, now=clock.now())
    wired.run()
    operation.refresh_from_db()
    retirements.retire_rolled_back_ca(operation, by=wired.alice, now=clock.now())
    wired.run()
    return operation.old_ca


@pytest.mark.parametrize("retire", [retire_by_itself, retire_rolled_back])
def test_retirement_takes_the_anchor_from_every_device(wired, retire):
    device, sleeper = wired.agent("device"), wired.agent("sleeper")
    operation = wired.remint_in_overlap(device, sleeper)
    assert len(trusts(device)) == 2
    before = wired.zone.trust.latest().epoch

    left = retire(wired, operation)

    assert wired.zone.trust.latest().epoch > before
    assert wired.links() == []
    for home in (device, sleeper):
        assert trusts(wired.wake(home)) == [left.sha256]
