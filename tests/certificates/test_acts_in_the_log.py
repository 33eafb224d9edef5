"""The audit log says of an operation what was done, and what came of it, not its state."""

from datetime import timedelta

import pytest

from certificates.models import KeyRequest, acts, operation
from certificates.models.operation import TRANSITIONS
from zcc.ground import clock
from zcc.ground.models import AuditEvent


def told(kind):
    rows = AuditEvent.objects.filter(kind=kind).order_by("pk")
    return [(row.what, row.note) for row in rows]


def test_each_act_of_an_operation_has_the_name_of_its_button(make_operation, alice, now):
    row = make_operation("replicating")
    AuditEvent.objects.all().delete()

    row.mark_assigned(by=alice, at=now)
    row.hold("ws1 would be lost.", at=now)
    later = row.activate_at + timedelta(days=1)
    row.postpone(to=later, by=alice, at=now, note="Postponed from A to B.")
    row.note_sign_off(by=alice, at=now, note="1 device signed off: ws1. Reason: scrapped")
    row.start_cancel(by=alice, at=now)
    row.fail_cancel("ps2 did not confirm.", at=now)
    row.clear_problem(by=alice, at=now)

    assert told("operation") == [
        ("Assign Now", "Every device is offered it"),
        ("Held", "ws1 would be lost."),
        ("Postpone", "Postponed from A to B."),
        ("Sign off", "1 device signed off: ws1. Reason: scrapped"),
        ("Cancel", "The servers remove what the operation left"),
        ("Cancel failed", "ps2 did not confirm."),
        ("Clear message", "ps2 did not confirm."),
    ]


def test_operation_that_begins_is_told_of_by_its_name(make_operation, alice, now):
    row = make_operation("preparing")
    AuditEvent.objects.all().delete()

    row.begin(by=alice, at=now)

    assert told("operation") == [("Remint CA", "Begun; nothing live has changed")]


@pytest.mark.parametrize("to", sorted({to for some in TRANSITIONS.values() for to in some}))
def test_no_state_is_told_of_as_an_act(to):
    states = {str(state.label) for state in operation.State}
    for by in (None, "alice"):
        what, _ = acts.told("Remint CA", "before", to, by=by, note="")
        assert what not in states - {"Cancel failed"}


def make_request(zone, servers, alice, now, **facts):
    columns = {"zone": zone, "server": servers[0], "holder": servers[0], "turn": servers[0]}
    asked = {"asked_from": servers[0], "asked_by": alice, "asked_at": now, "expires_at": now}
    return KeyRequest.objects.create(kind="verify", **columns, **asked, **facts)


def test_two_verified_backups_differ_by_what_came_of_them(zone, servers, alice, now):
    for outcome in ("good", "bad"):
        row = make_request(zone, servers, alice, now, file_name=f"{outcome}.zip")
        if outcome == "bad":
            assert row.expire("The passphrase is not right.", at=clock.now())
            assert not row.expire("Again.", at=clock.now())
        else:
            KeyRequest.objects.filter(pk=row.pk).update(claim_id=row.guid)
            row.claim_id = row.guid
            row.finish(at=now, findings={"zone": str(zone.guid)})

    assert told("device") == [
        ("Verify backup", "good.zip is good"),
        ("Verify backup", "Refused: The passphrase is not right."),
    ]
