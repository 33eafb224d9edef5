"""A device that was installed again has done nothing of the update yet, and proven nothing."""

import pytest

from systemupdates import actions
from systemupdates.models.device_update import State

NOTHING_PROVEN = (None, "", "", False)


@pytest.fixture
def row(make_device, make_update, now):
    """The row of a device that had come somewhere, and had proven the new CA."""
    device = make_device("ws1")
    row = make_update(assigned=True).device_updates.get(device=device)
    row.proven_at, row.proof_leaf, row.proof_problem = now, "ab" * 32, "ps2 did not answer."
    row.proof_refused = True
    row.save()
    return row


def begin_again(row, state, now):
    type(row).objects.filter(pk=row.pk).update(state=state)
    actions.begin_again(row.update, row.device, now=now)
    row.refresh_from_db()
    return row


def proof(row):
    return row.proven_at, row.proof_leaf, row.proof_problem, row.proof_refused


@pytest.mark.parametrize("state", ["download", "update", "pending", "completed", "failed"])
def test_it_is_assigned_again_with_its_event(row, now, state):
    begin_again(row, state, now)

    assert (row.state, row.attempt) == (State.ASSIGNED, 2)
    assert proof(row) == NOTHING_PROVEN
    event = row.events.last()
    assert (event.state, event.reason) == (State.ASSIGNED, "The device has enrolled again.")
    assert not event.is_reported


@pytest.mark.parametrize("state", ["assigned", "ignored", "withdrawn"])
def test_what_was_not_begun_or_is_left_out_stays_so(row, now, state):
    before = row.events.count()

    begin_again(row, state, now)

    assert (row.state, row.attempt, row.events.count()) == (state, 1, before)
    assert proof(row) == NOTHING_PROVEN


def test_other_devices_go_on(row, make_device, now):
    other = make_device("ws2")
    actions.add_late_comer(row.update, other, now=now)
    rows = row.update.device_updates.filter(device=other)
    rows.update(state=State.PENDING)

    begin_again(row, "pending", now)

    assert rows.get().state == State.PENDING
