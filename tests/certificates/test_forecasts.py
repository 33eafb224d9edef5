"""Making and keeping forecasts: what is due, what is stored, and what pages make of it."""

from datetime import timedelta

import pytest

from certificates import due, forecast_view
from certificates.actions import forecasts
from certificates.models import Forecast, ServerCertificate
from devices import folders
from devices.check_ins import CheckIns, added, hour_of, read
from devices.models import Device, Folder
from systemupdates.models import DeviceUpdate
from tests.certificates import building

HOUR = timedelta(hours=1)
DAYS = timedelta(days=1)


@pytest.fixture
def workstations(zone, servers, now):
    """Ten of which the last two have been silent for a month; no records yet."""
    names = [f"ws-{number}" for number in range(10)]
    devices = [building.make_device(zone, name, now, kind="workstation") for name in names]
    gone = Device.objects.filter(name__in=["ws-8", "ws-9"])
    gone.update(last_contact_at=now - timedelta(days=30))
    return devices


def rung(zone, now):
    return [ring.task for ring in due.rings(zone, now=now) if ring.task.endswith("make_forecast")]


def test_zone_at_rest_has_one_forecast_that_is_made_once_an_hour(zone, workstations, ca, now):
    assert len(rung(zone, now)) == 1

    forecasts.make(zone, now=now)

    assert rung(zone, now) == []
    building.make_device(zone, "ps9", now + HOUR)  # alive then
    Forecast.objects.update(seen=forecasts._seen(zone, None))
    assert len(rung(zone, now + HOUR)) == 1
    assert Forecast.objects.count() == 1


def test_device_that_joins_is_an_event(zone, workstations, ca, now):
    forecasts.make(zone, now=now)

    building.make_device(zone, "ws-new", now, kind="workstation")

    assert len(rung(zone, now)) == 1


def test_forecast_that_a_worker_makes_is_not_due(zone, workstations, ca, now):
    forecasts.make(zone, now=now)
    Forecast.objects.update(due_at=now, lease_until=now + HOUR)

    assert rung(zone, now) == []


def test_silent_devices_are_kept_by_name_and_retired_ones_left_out(zone, workstations, ca, now):
    Device.objects.filter(name="ws-9").update(retired_at=now)

    forecasts.make(zone, now=now)

    row = forecast_view.at_rest(zone)
    without = row.stragglers.filter(expected_at=None).values_list("device__name", flat=True)
    assert (row.total, row.without_date, list(without)) == (12, 1, ["ws-8"])


def test_device_is_expected_by_the_schedule_of_its_folder(zone, workstations, ca, now):
    folders.ensure(zone, "/Workstations", by=None, now=now)
    Device.objects.filter(pk__gt=workstations[0].pk).delete()
    forecasts.make(zone, now=now)
    before = expected_within(DAYS, now)

    Folder.objects.update(refresh_interval=20 * DAYS)
    Forecast.objects.update(due_at=now)
    forecasts.make(zone, now=now)

    assert expected_within(DAYS, now) < before - 0.5


def expected_within(span, now):
    """How many devices are expected to be ready by then."""
    points = Forecast.objects.get().expected
    return max(number for at, number in points if at <= (now + span).timestamp())


def test_misses_of_a_date_are_counted_named_and_mobiles_apart(zone, workstations, ca, now):
    Device.objects.filter(name="ws-8").update(kind="mobile")
    forecasts.make(zone, now=now)

    misses = forecast_view.Misses(forecast_view.at_rest(zone), now + timedelta(days=3), now=now)

    assert (misses.number, misses.mobiles) == (2, 1)
    assert [name.straggler.device.name for name in misses.names] == ["ws-8", "ws-9"]
    assert [name.icon for name in misses.names] == ["phone", "laptop"]
    assert misses.names[0].reason.startswith("Not seen for 30 days. There is too little history")
    assert "no week of check-in history" in misses.basis


def test_records_of_contacts_make_the_forecast_once_there_are_some(zone, workstations, ca, now):
    hours = hour_of(now)
    for device in Device.objects.filter(zone=zone):
        record = b""
        for back in range(21 * 24, 0, -5):
            record = added(record, now - back * HOUR) or record
        Device.objects.filter(pk=device.pk).update(check_ins=record)
    assert isinstance(read(record), CheckIns) and read(record).last <= hours

    forecasts.make(zone, now=now)

    row = forecast_view.at_rest(zone)
    assert row.by_schedule < row.total
    assert row.time_for(0.9) <= 8 * HOUR
    assert row.stragglers.first().usually == "every day"


def test_operation_has_its_own_and_ready_is_who_holds_a_proof_that_stands(
    zone, workstations, make_operation, now
):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(device__name__in=["ws-0", "ws-1", "ws-2"])
    rows.move(to="pending", by=None, at=now)
    leaf = ServerCertificate.objects.filter(operation=operation).first().sha256
    rows.filter(device__name="ws-0").update(proof_leaf=leaf)
    trusted = [operation.old_ca.sha256, operation.new_ca.sha256]
    Device.objects.filter(zone=zone).update(trusted_fingerprints=trusted)
    rows.filter(device__name="ws-1").update(proof_leaf="ab" * 32)  # of a certificate replaced since

    forecasts.make(zone, now=now)

    row = forecast_view.of_operation(operation)
    assert (row.ready, row.total) == (1, 13)
    assert row.planned == row.expected
    assert row.real == [[now.timestamp(), 1.0]]


def test_failed_probe_has_no_date_and_ignored_device_is_not_counted(
    zone, workstations, make_operation, now
):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(update=operation.update)
    rows.filter(device__name="ws-0").move(to="pending", by=None, at=now)
    rows.filter(device__name="ws-0").update(proof_problem="The clock is wrong.")
    rows.filter(device__name="ws-9").move(to="ignored", by=None, at=now)

    forecasts.make(zone, now=now)

    row = forecast_view.of_operation(operation)
    undated = row.stragglers.filter(expected_at=None).values_list("device__name", flat=True)
    assert (row.total, sorted(undated)) == (12, ["ws-0", "ws-8"])


def test_what_was_planned_stays_while_the_real_curve_grows(zone, workstations, make_operation, now):
    operation = make_operation("assigned")
    forecasts.make(zone, now=now)
    planned = forecast_view.of_operation(operation).planned
    Device.objects.filter(kind="workstation").update(last_contact_at=now + 5 * HOUR)
    DeviceUpdate.objects.filter(device__kind="workstation").move(to="completed", by=None, at=now)

    forecasts.make(zone, now=now + 5 * HOUR)

    row = forecast_view.of_operation(operation)
    assert row.planned == planned != row.expected
    assert [number for _, number in row.real] == [0, 10]


def test_wave_that_opens_is_an_event_and_age_is_by_size(zone, workstations, make_operation, now):
    operation = make_operation("assigned")
    forecasts.make(zone, now=now)
    assert rung(zone, now + timedelta(seconds=9)) == []
    assert len(rung(zone, now + timedelta(seconds=11))) == 1

    operation.update.open_wave(2)

    assert len(rung(zone, now)) == 1


def test_while_an_operation_is_prepared_or_cancelled_none_is_made(zone, make_operation, now):
    operation = make_operation("preparing")
    assert rung(zone, now) == []

    operation.start_cancel(by=None, at=now)

    assert rung(zone, now) == []


def test_what_was_expected_at_planning_stays_when_devices_come_and_go(
    zone, workstations, make_operation, now
):
    operation = make_operation("assigned")
    forecasts.make(zone, now=now)

    def planned():
        outlook = forecast_view.Outlook(forecast_view.of_operation(operation), operation, now=now)
        return [row.expected for row in outlook.rows], outlook.chart.expected

    before = planned()
    assert before[0][0] is not None

    left = DeviceUpdate.objects.filter(device__in=workstations[:6])
    left.move(to="ignored", by=None, at=now)
    forecasts.make(zone, now=now + 2 * HOUR)

    assert forecast_view.of_operation(operation).total == 7
    assert planned() == before


def test_real_date_is_only_of_a_share_that_was_reached_and_holds(
    zone, workstations, make_operation, now
):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(device__in=workstations)

    def real(hours):
        forecasts.make(zone, now=now + hours * HOUR)
        row = forecast_view.of_operation(operation)
        outlook = forecast_view.Outlook(row, operation, now=now + hours * HOUR)
        return [row.real is not None for row in outlook.rows], outlook.chart.present.text

    real(0)
    rows.move(to="completed", by=None, at=now)
    assert real(1) == ([True, False, False, False], "Now: 76 %")
    DeviceUpdate.objects.exclude(device__in=workstations).delete()
    assert real(2) == ([True] * 4, "Now: 100 %")
    whole = forecast_view.of_operation(operation).really_reached(1)
    assert now + 1.99 * HOUR < whole <= now + 2 * HOUR
    rows.filter(device__in=workstations[:2]).update(state="assigned")
    assert real(3) == ([True, False, False, False], "Now: 80 %")


def test_real_curve_stays_when_ready_devices_are_ignored(zone, workstations, make_operation, now):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(device__in=workstations)
    rows.move(to="completed", by=None, at=now)
    forecasts.make(zone, now=now)

    rows.filter(device__in=workstations[:8]).update(state="ignored")
    forecasts.make(zone, now=now + HOUR)

    row = forecast_view.of_operation(operation)
    assert [number / row.total for _, number in row.real] == pytest.approx([10 / 13, 2 / 5])
    assert [row.really_reached(share) for share in (0.5, 0.9, 1)] == [None] * 3
