"""Two at once: one wins, the other is told, and there is one event."""

import os
import random
import threading
import time
from copy import copy
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Count

from certificates.actions import authorities, operations
from certificates.models import Operation, OperationEvent
from certificates.taking_part import join_operation
from devices.models import Device, Kind
from systemupdates.models import DeviceUpdate, SystemUpdate, UpdateEvent

pytestmark = pytest.mark.django_db(transaction=True)

# RACES=1000 runs each race so many times; without it, as often as a change can wait for.
RACES = int(os.environ.get("RACES", 0))
TOLD = (*operations.OVERTAKEN, operations.NotPossibleNow, authorities.OperationInProgress)


def at_once(*actions):
    """Call the actions in threads of their own at the same time; return what each gave."""
    start, results = threading.Barrier(len(actions)), [None] * len(actions)

    def call(place, action):
        start.wait()
        try:
            results[place] = action()
        except TOLD as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=item) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def seconds_of(action):
    began = time.monotonic()
    assert action()
    return time.monotonic() - began


def put(operation, state):
    Operation.objects.filter(pk=operation.pk).update(state=state, held_reason="")
    SystemUpdate.objects.filter(pk=operation.update_id).update(state=state)
    return Operation.objects.get(pk=operation.pk), Operation.objects.get(pk=operation.pk)


def test_cancel_and_arming_at_the_cutoff_have_one_winner(make_operation, alice, now):
    chance = random.Random(seed := random.randrange(2**32))
    operation = make_operation("assigned", activate_at=now + timedelta(hours=1))
    operation.servers.update(staged_at=now)
    SystemUpdate.objects.update(wave=2)
    winners = set()

    def cancel(of, wait):
        time.sleep(wait)
        operations.cancel(of, by=alice, now=of.cutoff_at - timedelta(milliseconds=1))
        return "cancelling"

    def arm(of, wait):
        time.sleep(wait)
        return operations.advance(of, now=of.cutoff_at) and "armed"

    takes = seconds_of(partial(arm, put(operation, "assigned")[1], 0))
    for _ in range(RACES or 200):
        mine, its = put(operation, "assigned")
        OperationEvent.objects.all().delete()
        # The guard asks before it arms, so the cancel has to come later to come at the same time.
        waits = chance.random() * 2 * takes, chance.random() / 500
        results = at_once(partial(cancel, mine, waits[0]), partial(arm, its, waits[1]))
        won = [result for result in results if isinstance(result, str)]
        event = OperationEvent.objects.get()
        assert won == [event.state] == [Operation.objects.get().state], (seed, results)
        assert event.by == (alice if won == ["cancelling"] else None)
        winners.add(event.state)
    assert winners == {"armed", "cancelling"}, seed


def test_assign_now_and_the_schedule_assign_once(make_operation, alice, now):
    operation = make_operation("replicating")
    operation.update.replications.update(state="available")

    for _ in range(RACES or 20):
        mine, its = put(operation, "replicating")
        OperationEvent.objects.all().delete()
        UpdateEvent.objects.all().delete()
        DeviceUpdate.objects.all().delete()
        results = at_once(
            partial(operations.assign_now, mine, by=alice, now=now),
            partial(operations.advance, its, now=now),
        )
        won = [result for result in results if not isinstance(result, TOLD)]
        assert len(won) == 1, results
        by = alice if results[0] is None else None  # assign_now returns nothing
        assert OperationEvent.objects.get().by == UpdateEvent.objects.get().by == by


def test_device_that_enrols_while_the_update_is_assigned_is_in_it_once(make_operation, alice, now):
    operation = make_operation("replicating")
    device = Device.objects.create(
        zone=operation.zone, name="late", kind=Kind.WORKSTATION, enrolled_at=now
    )

    def enrol(of):
        of.enrolled_at, of.pk, of.guid, of.name = now, None, uuid4(), str(uuid4())
        of.save()
        join_operation(of, now=now)
        join_operation(of, now=now)

    for _ in range(RACES or 20):
        mine, _ = put(operation, "replicating")
        DeviceUpdate.objects.all().delete()
        at_once(
            partial(operations.assign_now, mine, by=alice, now=now),
            partial(enrol, copy(device)),
            partial(enrol, copy(device)),
        )
        rows = DeviceUpdate.objects.annotate(told=Count("events"))
        assert set(rows.values_list("device", "told")) == {
            (pk, 1) for pk in Device.objects.values_list("pk", flat=True)
        }


def test_same_form_twenty_times_at_once_is_one_operation(ca, alice, now):
    wishes = authorities.RemintWishes(
        common_name="TEST-ZONE",
        key_type="ec-p256",
        years=5,
        include_additional_dns_names=True,
        activate_at=now + timedelta(hours=2),
        idempotency_key=uuid4(),
    )

    results = at_once(*[lambda: authorities.remint(ca, wishes, by=alice, now=now)] * 20)

    assert results == [Operation.objects.get()] * 20
    assert OperationEvent.objects.count() == 1


def test_two_ticks_hold_with_one_event(make_operation, now):
    operation = make_operation("replicating")
    late = operation.cutoff_at

    for _ in range(RACES or 20):
        mine, its = put(operation, "replicating")
        OperationEvent.objects.all().delete()
        at_once(
            partial(operations.advance, mine, now=late), partial(operations.advance, its, now=late)
        )
        assert OperationEvent.objects.get().note.startswith("Held: ")


def test_remint_of_a_ca_that_was_replaced_meanwhile_is_refused(make_operation, ca, alice, now):
    make_operation("overlap")
    wishes = authorities.RemintWishes(
        common_name="TEST-ZONE",
        key_type="ec-p256",
        years=5,
        include_additional_dns_names=True,
        activate_at=now + timedelta(hours=2),
        idempotency_key=uuid4(),
        waive_silent=True,
    )

    with pytest.raises(authorities.Refused, match="Another CA has become the active one"):
        authorities.remint(ca, wishes, by=alice, now=now)

    assert Operation.objects.count() == 1
