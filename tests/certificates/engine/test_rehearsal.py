"""A rehearsal with real handshakes: agents, the product's listeners, a CA that is thrown away."""

from datetime import timedelta

import pytest
from django.db import connection, connections

from agent import faults, trust
from agent import rehearsal as told
from certificates import leftovers, rehearsing
from certificates.actions import rehearsals
from certificates.models import CertificateAuthority, PublishedTrust, Rehearsal
from devices.models import Device
from tests.agent.killing import was_killed
from tests.certificates.engine.wire import on_the_wire
from zcc.ground import claims, clock

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = timedelta(minutes=10)


@pytest.fixture
def wired(transactional_db, tmp_path, settings):
    yield from on_the_wire(settings, tmp_path)


def start(zone, *names):
    Device.objects.filter(name__in=names).update(is_test=True)
    chosen = list(Device.objects.filter(name__in=names))
    return rehearsals.start(zone.zone, chosen, patience=PATIENCE, by=zone.alice, now=clock.now())


def go_on(zone, row, *, at=None):
    """A tick, and what it rings for; return the rehearsal as it stands then."""
    for _ in range(3):
        row = Rehearsal.objects.select_related("server", "zone").get(pk=row.pk)
        rehearsals.advance(row, now=at or clock.now())
        zone.run()
    return Rehearsal.objects.get(pk=row.pk)


def files_of(home):
    return sorted(path.name for path in (home.path / "rehearsal").glob("*"))


def live(zone, laptop):
    """What a rehearsal must leave alone, as it lies on disks and in rows."""
    return (
        trust.current(laptop),
        zone.home.server_pem.read_bytes(),
        sorted(path.name for path in (zone.home.path / "ca").iterdir()),
        list(PublishedTrust.objects.values()),
        list(CertificateAuthority.objects.values()),
    )


def test_each_device_goes_as_far_as_it_can_and_everything_goes_again(wired):
    laptop, asleep = wired.agent("ws1"), wired.agent("ws2")
    before = live(wired, laptop)
    row = start(wired, "ws1", "ws2")

    assert go_on(wired, row).state == "told"
    assert files_of(wired.home) == ["future.pem"]
    wired.wake(laptop)
    assert files_of(laptop) == ["anchor.pem", "state.json"]
    Rehearsal.objects.update(changed_at=clock.now() - PATIENCE)
    assert go_on(wired, row).state == "activated"
    assert files_of(wired.home) == ["active.pem"]
    wired.wake(laptop)
    row.refresh_from_db()
    assert go_on(wired, row, at=row.waits_until).state == "cleaning"
    assert files_of(wired.home) == []
    wired.wake(laptop)
    row = go_on(wired, row)

    assert (row.state, row.after) == ("finished", row.before)
    assert files_of(laptop) == ["state.json"]
    came, slept = row.devices.order_by("device__name")
    assert None not in (came.told_at, came.trusted_at, came.proven_at, came.switched_at)
    assert came.cleaned_at and came.trust_before == came.trust_after != ""
    assert (slept.told_at, files_of(asleep)) == (None, [])
    assert live(wired, laptop) == before


def test_message_that_comes_twice_activates_nothing(wired):
    wired.agent("ws1")
    row = go_on(wired, start(wired, "ws1"))

    claimed = claims.claim(Rehearsal.objects.filter(pk=row.pk), now=clock.now())
    rehearsing.carry_out(claimed, home=wired.home)

    row.refresh_from_db()
    assert (row.state, row.lease_until, files_of(wired.home)) == ("told", None, ["future.pem"])


def test_cancel_destroys_everything_and_a_second_one_works(wired):
    laptop = wired.agent("ws1")
    row = go_on(wired, start(wired, "ws1"))
    wired.wake(laptop)

    rehearsals.cancel(row, by=wired.alice, now=clock.now())
    wired.run()
    wired.wake(laptop)
    row = go_on(wired, row)

    assert (row.state, files_of(wired.home), files_of(laptop)) == ("cancelled", [], ["state.json"])
    again = go_on(wired, start(wired, "ws1"))
    wired.wake(laptop)
    assert again.devices.get().proven_at is not None


def test_worker_that_died_leaves_nothing_that_stays(wired):
    row = start(wired, "ws1") if wired.agent("ws1") else None
    wired.home.write_secret(told.server_file(told.FUTURE), b"by a worker that was killed")
    Rehearsal.objects.update(claim_id=row.guid, lease_until=clock.now() + timedelta(minutes=1))

    leftovers.free(row.server)
    rehearsing.forget_leftovers(row.server, home=wired.home)
    row = go_on(wired, row)
    assert row.state == "told"
    assert b"killed" not in wired.home.read_file(told.server_file(told.FUTURE))

    Rehearsal.objects.update(state="failed")
    rehearsing.forget_leftovers(row.server, home=wired.home)
    assert files_of(wired.home) == []


@pytest.mark.parametrize("point", ["rehearsal-shown", "rehearsal-activated"])
def test_worker_that_cannot_go_on_ends_it_and_leaves_nothing(wired, monkeypatch, point):
    wired.agent("ws1")
    row = start(wired, "ws1")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{point}:raise")

    for _ in range(3):
        Rehearsal.objects.update(changed_at=clock.now() - PATIENCE + timedelta(minutes=1))
        row.devices.update(proven_at=clock.now())
        row = go_on(wired, row)

    assert (row.state, files_of(wired.home)) == ("failed", [])
    assert f"Fault asked for at {point}." in row.problem


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="a database in memory is not a child's, too"
)
@pytest.mark.parametrize("point", ["shown", "activated", "destroyed"])
def test_killed_worker_is_followed_by_one_that_goes_on(wired, point):
    wired.agent("ws1")
    row = start(wired, "ws1")

    def through(row):
        row = go_on(wired, row)
        row.devices.update(proven_at=clock.now(), switched_at=clock.now())
        return go_on(wired, row)

    connections.close_all()
    assert was_killed(lambda: through(row), f"rehearsal-{point}:kill")
    leftovers.free(row.server)
    rehearsing.forget_leftovers(row.server, home=wired.home)

    assert through(row).state == "finished"
    assert files_of(wired.home) == []


def test_operation_that_begins_goes_before(wired):
    wired.agent("ws1")
    row = go_on(wired, start(wired, "ws1"))
    wired.remint()

    row = go_on(wired, row)

    assert row.state == "cancelled"
    assert "was initiated, and goes before" in row.events.get(state="cleaning").note
