"""The three answers, the message and the timeline, state by state."""

from datetime import timedelta

import pytest

from certificates.actions import forecasts, operations
from certificates.answers import answers
from certificates.attention import NeedsAttention
from certificates.buttons import why_busy
from certificates.devices_at_risk import at_risk
from certificates.models import CertificateAuthority, Operation
from certificates.operation_message import message
from certificates.server_rows import server_rows
from certificates.standing import Standing
from certificates.timeline import Timeline
from devices.models import Device, Heartbeat
from systemupdates.models import DeviceUpdate
from tests.certificates import building


@pytest.fixture
def see(zone, now):
    """What the page says, as if it were looked at `later` than now."""

    def look(later=timedelta()):
        standing = Standing(zone, now=now + later)
        needs = NeedsAttention(standing)
        return answers(standing, server_rows(standing), at_risk(standing), needs), standing

    return look


@pytest.mark.parametrize(
    ("state", "happening", "current"),
    [
        ("preparing", "Remint CA: the new CA is being made.", "Preparing"),
        ("replicating", "Remint CA: content is being replicated, 1 of 2.", "Replicated 1 of 2"),
        ("assigned", "Remint CA: 0 % of devices are ready.", "Devices apply the update"),
        ("activating", "Remint CA is activating: 3 of 3 servers switched.", "Activating"),
        ("overlap", "Overlap, for 1 h: both CAs are trusted.", "Overlap"),
    ],
)
def test_every_state_says_what_is_happening(make_operation, see, state, happening, current):
    make_operation(state)

    said, standing = see()

    assert said.happening.say == happening
    assert [step.title for step in Timeline(standing).steps() if step.is_current] == [current]


def test_expired_ca_is_bad(ca, see):
    said, _ = see(later=timedelta(days=3650))

    assert (said.all_right.family, said.all_right.say) == ("bad", "The Zone CA has expired.")


def test_key_without_a_backup_is_the_first_task(ca, see):
    said, _ = see()

    assert (said.next.family, said.next.say) == ("warn", "Back up the CA.")
    assert said.next.more == "Its key exists once, on ps1. If that disk fails, it is lost."


def test_key_of_the_new_ca_without_a_backup_is_the_first_task_in_overlap(
    make_operation, see, alice, now
):
    operation = make_operation("overlap")
    building.note_backup(operation.old_ca, by=alice, at=now)
    assert see()[0].next.say == "Back up the new CA."

    building.note_backup(operation.new_ca, by=alice, at=now)
    assert see()[0].next.say != "Back up the new CA."


def test_ca_server_that_does_not_run_is_the_first_task(ca, see):
    said, _ = see(later=timedelta(minutes=2))

    assert (said.next.family, said.next.say) == ("bad", "Start ps1, or restore the CA.")


def test_ca_that_ends_within_90_days_is_a_warning_and_a_task(ca, see, now, alice):
    building.note_backup(ca, by=alice, at=now)
    later = ca.expires_at - now - timedelta(days=30)
    Heartbeat.objects.update(at=now + later)
    said, _ = see(later=later)

    assert said.all_right.family == "bad"  # the servers' certificates have expired by then
    assert said.next.say == "Remint the CA."


def test_expired_server_certificate_is_named(ca, see):
    said, _ = see(later=timedelta(days=400))

    assert said.all_right.say == "The certificates of ps1, ps2 and auth1 have expired."


def test_held_operation_says_why_and_that_it_does_not_activate(make_operation, see, now):
    make_operation("assigned").hold("The future certificate is not in place on ps2.", at=now)

    said, standing = see()

    assert said.happening.say == "Remint CA is held."
    assert said.next.say == "Mend what holds it, postpone it, or cancel it."
    assert message(standing).headline.endswith("is held. It does not activate by itself.")
    assert "not in place on ps2" in message(standing).detail
    assert Timeline(standing).steps()[3].title == "Held"


def test_failed_and_silent_devices_are_named(make_operation, see, zone, now):
    building.make_device(zone, "ws-1", now, kind="workstation")
    building.make_device(zone, "ws-2", now, kind="workstation")
    make_operation("assigned")
    Device.objects.filter(name="ws-1").update(last_contact_at=now - timedelta(days=12))
    rows = DeviceUpdate.objects.filter(device__name="ws-2")
    rows.move(to="failed", by=None, at=now, reason="disk full")
    forecasts.make(zone, now=now)

    said, standing = see()

    found = at_risk(standing)
    assert said.next.say == "Look at 2 devices at risk."
    assert said.next.more == "The update failed, or not seen for too long."
    assert [(risk.device.name, risk.reason) for risk in found.first] == [
        ("ws-2", "Update Failed: disk full"),
        ("ws-1", "Not seen for 12 days."),
    ]


def test_silent_device_at_risk_is_said_to_be_silent_and_nothing_else(
    make_operation, see, zone, now
):
    building.make_device(zone, "ws-1", now, kind="workstation")
    make_operation("assigned")
    Device.objects.filter(name="ws-1").update(last_contact_at=now - timedelta(days=12))
    forecasts.make(zone, now=now)

    said, _ = see()

    assert said.next.say == "Look at 1 device at risk."
    assert said.next.more == "Not seen for too long."


def test_six_devices_at_risk_are_shown_and_all_are_counted(make_operation, see, zone, now):
    for number in range(8):
        building.make_device(zone, f"ws-{number}", now, kind="workstation")
    make_operation("assigned")
    DeviceUpdate.objects.filter(device__kind="workstation").move(to="failed", by=None, at=now)

    _, standing = see()

    found = at_risk(standing)
    assert (found.number, len(found.first)) == (8, 6)


def test_late_server_is_said_in_overlap(make_operation, see, servers, now):
    operation = make_operation("overlap")
    operation.servers.filter(device=servers[1]).update(activated_at=None)
    Heartbeat.objects.filter(server=servers[1]).update(at=now - timedelta(hours=2))

    said, standing = see()

    row = next(row for row in server_rows(standing) if row.device == servers[1])
    assert said.all_right.say == "The new CA is in force; ps2 still shows its old certificate."
    assert row.update_word == "Late server"


def test_server_that_switched_late_says_so(make_operation, see, servers, now):
    operation = make_operation("overlap")
    operation.servers.filter(device=servers[1]).update(activated_at=now)

    _, standing = see()

    row = next(row for row in server_rows(standing) if row.device == servers[1])
    assert row.update_lines[0].startswith("was late, switched ")


def test_cancel_says_of_each_server_how_far_it_is(make_operation, see, servers, alice, now):
    operation = make_operation("assigned")
    operation.start_cancel(by=alice, at=now)
    operation.servers.filter(device=servers[0]).update(cleaned_at=now)

    said, standing = see()

    assert said.happening.say == "Remint CA is being canceled."
    assert message(standing).detail == (
        "ps1 removed what it left. ps2 is removing what the operation left. "
        "auth1 does at the next refresh. "
        "The zone goes on with the CA it has."
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("assigned", "Remint CA is in progress. Cancel it, or wait until it is activated on"),
        ("armed", "Remint CA is being activated. Wait until the new CA is in force."),
        ("cancelling", "Remint CA is being canceled. Wait until every server has confirmed."),
    ],
)
def test_disabled_buttons_say_why(make_operation, state, words):
    operation = make_operation("assigned")
    Operation.objects.update(state=state)
    operation.refresh_from_db()

    assert why_busy(operation).startswith(words)


def test_cancel_inside_an_overlap_is_said_to_have_gone_well(make_operation, see, alice, now):
    make_operation("overlap")
    assert "canceled" not in see()[0].happening.more

    active = CertificateAuthority.objects.get(state="active")
    second = building.prepare(building.make_operation(active, by=alice, now=now), now)
    second.start_cancel(by=alice, at=now)
    operations.finish_cancel(second, now=now)

    more = see()[0].happening.more
    assert more.startswith("The Remint CA begun after it is canceled: what it left is removed.")


@pytest.mark.parametrize("state", ["armed", "activating"])
def test_timeline_keeps_every_step_once_it_is_armed(make_operation, see, state):
    make_operation(state)

    steps = Timeline(see()[1]).steps()

    titles = ["Initiated", "Replicated", "Assigned", "Devices apply the update", "Armed", "Activat"]
    assert len(steps) == len(titles)
    assert all(step.title.startswith(title) for step, title in zip(steps, titles, strict=True))
    assert [step.look for step in steps].count("now") == 1


def test_planned_retirement_has_a_time_of_day(make_operation, see, alice, now):
    operation = make_operation("overlap")
    building.note_backup(operation.new_ca, by=alice, at=now)
    operation.set_retirement(after=30, by=None, at=now, note="Retirement: by itself.")

    said, standing = see()

    at = standing.operation.retires_at
    assert f", {at:%H:%M} UTC" in said.next.more
    assert f", {at:%H:%M}" in Timeline(standing).steps()[-1].lines[0].text


@pytest.mark.parametrize(
    ("minutes", "say"),
    [
        (46, "Replication ends after the activation: Assign Now, or Postpone."),
        (64, "Replication ends too late for the activation: Assign Now, or Postpone."),
        (75, "Nothing. It goes on by itself."),
    ],
)
def test_content_that_comes_after_the_activation_is_a_task(make_operation, see, now, minutes, say):
    operation = make_operation("replicating", activate_at=now + timedelta(minutes=minutes))
    operation.update.replications.missing().update(due_at=now + timedelta(minutes=60))

    said, _ = see()

    assert said.next.say == say
    assert ("ps2 looks for the content at " in said.next.more) == (minutes < 75)


def test_content_is_no_task_once_it_is_assigned(make_operation, see, now):
    operation = make_operation("assigned", activate_at=now + timedelta(minutes=46))
    operation.update.replications.missing().update(due_at=now + timedelta(minutes=60))

    assert see()[0].next.say == "Nothing. It goes on by itself."
