"""The tick: what it rings for, that it writes nothing when nothing is due, and without a broker."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from certificates import due, taking_part, tasks
from certificates.actions import operations
from certificates.models import JoinRequest, Operation
from devices.models import Zone
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import claims, clock

WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


def rung(living):
    return sorted(ring.task.rpartition(".")[2] for ring in due.rings(living.zone, now=clock.now()))


def writes_of_a_tick():
    with CaptureQueriesContext(
        connection,
    ) as queries:
        tasks.tick()
    return [query["sql"] for query in queries if query["sql"].lstrip().startswith(WRITES)]


@pytest.mark.parametrize(
    "state", [None, "replicating", "assigned", "armed", "overlap", "completed"]
)
def test_tick_with_nothing_due_writes_nothing(living, state):
    if state is not None:
        living.reach(state)

    assert rung(living) == []
    assert writes_of_a_tick() == []


def test_tick_asks_the_same_of_a_large_zone_as_of_a_small_one(living):
    living.reach("assigned")
    with CaptureQueriesContext(connection) as few:
        tasks.tick()
    for number in range(50):
        taking_part.join_operation(living.add_workstation(f"more-{number}"), now=clock.now())

    with CaptureQueriesContext(connection) as many:
        tasks.tick()

    assert len(many) == len(few)


@pytest.mark.parametrize("state", ["assigned", "overlap", "completed"])
def test_tick_asks_nothing_for_a_server_that_has_done_its_part(living, state):
    operation = living.reach(state)
    with CaptureQueriesContext(connection) as all_servers:
        tasks.tick()
    operation.servers.exclude(device__name="ps1").delete()

    with CaptureQueriesContext(connection) as one_server:
        tasks.tick()

    assert len(all_servers) == len(one_server)
    # PostgreSQL is asked for the time besides, which costs it nothing.
    rows = [asked for asked in all_servers if "clock_timestamp" not in asked["sql"]]
    assert len(rows) < 40


def test_nothing_is_rung_for_when_nobody_is_alive(living):
    living.remint()
    for name in SERVERS:
        living.fall_silent(name)

    assert rung(living) == []
    assert writes_of_a_tick() == []


def test_only_living_servers_are_rung_for(living):
    operation = living.remint()
    living.fall_silent("ps1")

    rings = list(due.rings(living.zone, now=clock.now()))

    rows = operation.servers.filter(device__name__in=["ps2", "ps3"]).select_related("device")
    assert {(ring.queue, ring.ids["progress_id"]) for ring in rings} == {
        (row.device.queue, row.pk) for row in rows
    }


def test_what_a_worker_holds_is_not_rung_for_until_its_lease_is_over(living):
    operation = living.remint()
    now = clock.now()
    claims.claim(Operation.objects.filter(pk=operation.pk), now=now, seconds=60)

    at = {
        seconds: [
            ring.task for ring in due.rings(living.zone, now=now + timedelta(seconds=seconds))
        ]
        for seconds in (1, 59)
    }

    assert not any("certificates.tasks.prepare" in found for found in at.values())
    for name in SERVERS:
        living.beat(name, ago=-timedelta(seconds=30))
    later = [ring.task for ring in due.rings(living.zone, now=now + timedelta(seconds=61))]
    assert "certificates.tasks.prepare" in later


def test_join_request_that_is_being_answered_is_not_rung_for(living):
    operation_free = rung(living)
    token = living.zone.join_tokens.first()
    request = JoinRequest.objects.create(
        token=token,
        name="ps9",
        dns_name="ps9.test.zone",
        csr=b"",
        seal_public=b"",
        mac=b"",
        created_at=clock.now(),
    )
    assert rung(living) == ["answer_join"]

    claims.claim(JoinRequest.objects.filter(pk=request.pk), now=clock.now())

    assert rung(living) == operation_free == []


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_no_click_and_no_tick_fails(living):
    operation = living.remint()
    tasks.tick()
    living.run()
    living.replicate_now()
    tasks.tick()
    living.run()
    operation.refresh_from_db()
    assert operation.state == "assigned"

    operations.cancel(operation, by=living.alice, now=clock.now())
    tasks.tick()

    assert Zone.objects.get().tick_at is not None
    assert Operation.objects.get().state == "cancelling"
