"""The machines of an update, of a device's update and of replication; and moves of many rows."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from devices.models import Device, Heartbeat
from systemupdates import actions, chosen, rounds
from systemupdates.models import (
    DeviceUpdate,
    DeviceUpdateEvent,
    Replication,
    SystemUpdate,
    UpdateEvent,
)
from systemupdates.models import device_update as device_updates
from systemupdates.models import replication as replications
from systemupdates.models import update as system_updates
from systemupdates.models.update import IllegalTransition, Wave

MANY = 500


def pairs(machine):
    return list(itertools.product(machine.State.values, machine.State.values))


@pytest.fixture
def servers(make_device, now):
    found = [make_device(f"ps{number}", kind="primary") for number in (1, 2)]
    for server in found:
        Heartbeat.objects.create(server=server, at=now)
    return found


@pytest.fixture
def update(zone, servers, now):
    update = actions.create_update(
        zone, name="Remint CA", initiating_server=servers[0], by=None, now=now
    )
    actions.start_replication(update, sha256="ab" * 32, size=10, now=now)
    return update


@pytest.mark.parametrize(("start", "to"), pairs(system_updates))
def test_update_moves_as_drawn_and_no_other_way(update, alice, now, start, to):
    SystemUpdate.objects.filter(pk=update.pk).update(state=start)
    before = UpdateEvent.objects.count()
    if to in system_updates.TRANSITIONS.get(start, set()):
        update._move(to, by=alice, at=now)
        event = UpdateEvent.objects.latest("pk")
        assert (event.state, event.by, event.at) == (to, alice, now)
    else:
        with pytest.raises(IllegalTransition):
            update._move(to, by=alice, at=now)
        assert UpdateEvent.objects.count() == before
        assert SystemUpdate.objects.get(pk=update.pk).state == start


@pytest.mark.parametrize(("start", "to"), pairs(device_updates))
def test_device_update_moves_as_drawn_and_no_other_way(update, make_device, now, start, to):
    device = make_device("ws1")
    actions.assign(update, by=None, now=now)
    row = DeviceUpdate.objects.filter(device=device)
    row.update(state=start)
    may = to in device_updates.TRANSITIONS.get(start, set())

    moved = row.move(to=device_updates.State(to), by=None, at=now, reason="why")

    assert moved == int(may)
    assert row.get().state == (to if may else start)
    assert DeviceUpdateEvent.objects.filter(reason="why").count() == int(may)


@pytest.mark.parametrize(("start", "to"), pairs(replications))
def test_replication_moves_as_drawn_and_no_other_way(update, servers, now, start, to):
    row = Replication.objects.filter(server=servers[1])
    row.update(state=start)

    moved = row.move(to=replications.State(to), at=now)

    assert moved == int(to in replications.TRANSITIONS.get(start, set()))


def test_many_devices_move_with_one_update_and_one_insert(
    update, make_device, alice, now, django_assert_num_queries
):
    actions.assign(update, by=None, now=now)
    add_many(update, now)
    rows = DeviceUpdate.objects.filter(update=update, device__kind="workstation")

    with django_assert_num_queries(4):  # and the two ends of the transaction
        moved = rows.move(to=device_updates.State.IGNORED, by=alice, at=now)

    assert moved == MANY
    assert DeviceUpdateEvent.objects.filter(state="ignored", by=alice, at=now).count() == MANY


def add_many(update, now):
    Device.objects.bulk_create(
        Device(zone=update.zone, name=f"ws{n}", kind="workstation", enrolled_at=now)
        for n in range(MANY)
    )
    made = update.device_updates.filter(device__kind="workstation")
    chosen = Device.objects.filter(kind="workstation")
    actions._add_devices(update, chosen, made, by=None, now=now)


def test_assignment_gives_every_device_a_row_and_an_event(update, make_device, alice, now):
    make_device("ws1")
    make_device("gone", retired_at=now)

    actions.assign(update, by=alice, now=now)

    rows = DeviceUpdate.objects.order_by("device__name")
    assert list(rows.values_list("device__name", "wave", "state", "attempt")) == [
        ("ps1", Wave.INITIATING_SERVER, "assigned", 1),
        ("ps2", Wave.PRIMARY_SERVERS, "assigned", 1),
        ("ws1", Wave.ALL_DEVICES, "assigned", 1),
    ]
    assert DeviceUpdateEvent.objects.filter(state="assigned", by=alice, at=now).count() == 3


def test_assigning_twice_is_refused_and_changes_nothing(update, now):
    actions.assign(update, by=None, now=now)

    with pytest.raises(actions.NotPossibleNow, match="assigned already"):
        actions.assign(SystemUpdate.objects.get(pk=update.pk), by=None, now=now)

    assert UpdateEvent.objects.filter(state="assigned").count() == 1


def test_update_being_made_cannot_be_assigned(zone, servers, now):
    update = actions.create_update(zone, name="U", initiating_server=servers[0], by=None, now=now)

    with pytest.raises(actions.NotPossibleNow, match="not made yet"):
        actions.assign(update, by=None, now=now)


def test_waves_open_in_the_manuals_order(update, make_device, now):
    make_device("ws1")
    actions.assign(update, by=None, now=now)
    rows = DeviceUpdate.objects

    assert not actions.open_waves(update, now=now)
    rows.filter(device__name="ps1").move(to=device_updates.State.PENDING, by=None, at=now)
    assert actions.open_waves(update, now=now)
    assert update.wave == Wave.PRIMARY_SERVERS
    assert not actions.open_waves(update, now=now)
    rows.filter(device__name="ps2").move(to=device_updates.State.FAILED, by=None, at=now)
    assert actions.open_waves(update, now=now)
    assert update.wave == Wave.ALL_DEVICES


def test_late_server_holds_no_wave_up(update, now):
    actions.assign(update, by=None, now=now)
    later = now + timedelta(minutes=2)
    Heartbeat.objects.filter(server__name="ps2").update(at=later)

    assert actions.open_waves(update, now=later)


def test_redeploy_begins_a_new_attempt_and_old_reports_change_nothing(
    update, make_device, alice, now
):
    device = make_device("ws1")
    actions.assign(update, by=None, now=now)

    def report(state, attempt):
        return actions.report_step(
            update, device, attempt=attempt, state=state, reason="no content", at=now
        )

    assert report("failed", 1)
    assert chosen.redeploy(update, [device], by=alice, now=now) == 1
    assert not report("failed", 1)
    row = DeviceUpdate.objects.get(device=device)
    assert (row.state, row.attempt, row.reason) == ("assigned", 2, "")


def test_ignored_device_can_be_taken_back(update, make_device, alice, now):
    device = make_device("ws1")
    actions.assign(update, by=None, now=now)

    assert chosen.ignore(update, [device], by=alice, now=now) == 1
    assert chosen.redeploy(update, [device], by=alice, now=now) == 1
    assert DeviceUpdate.objects.get(device=device).state == "assigned"


def test_primary_server_cannot_be_ignored(update, servers, alice, now):
    actions.assign(update, by=None, now=now)

    with pytest.raises(actions.NotPossibleNow, match="ps2"):
        chosen.ignore(update, [servers[1]], by=alice, now=now)


def test_replication_is_complete_when_every_server_in_service_has_it(update, servers, now):
    assert not actions.is_replicated(update)

    servers[1].retired_at = now
    servers[1].save()

    assert actions.is_replicated(update)


@pytest.mark.parametrize(("second", "due"), [(0, 20), (19, 20), (20, 40), (59, 60)])
def test_next_round_is_the_next_multiple_of_the_interval(second, due):
    after = datetime(2026, 11, 24, 3, 0, second, tzinfo=UTC)

    found = rounds.next_multiple(timedelta(seconds=20), after=after)

    assert found == datetime(2026, 11, 24, 3, 0, tzinfo=UTC) + timedelta(seconds=due)


def test_update_that_replicates_has_content(zone, servers, now):
    with pytest.raises(IntegrityError), transaction.atomic():
        SystemUpdate.objects.create(
            zone=zone, name="U", initiating_server=servers[0], state="assigned", created_at=now
        )
