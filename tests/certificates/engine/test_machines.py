"""The machines of an operation, a CA, a server certificate: each legal move, each illegal one."""

import itertools

import pytest
from django.db import IntegrityError, transaction

from certificates.models import (
    CertificateAuthority,
    Operation,
    OperationEvent,
    ServerCertificate,
)
from certificates.models import authority as authorities
from certificates.models import operation as operations
from certificates.models import server_certificate as certificates
from certificates.models.server_step import Step
from zcc.ground import clock


def pairs(machine):
    return list(itertools.product(machine.State.values, machine.State.values))


def put(row, **columns):
    type(row).objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()


@pytest.mark.parametrize(("start", "to"), pairs(operations))
def test_operation_moves_as_drawn_and_no_other_way(make_operation, alice, now, start, to):
    operation = make_operation("replicating")
    put(operation, state=start)
    before = OperationEvent.objects.count()

    if to in operations.TRANSITIONS.get(start, set()):
        operation._move(to, by=alice, at=now)
        event = OperationEvent.objects.latest("pk")
        assert (event.state, event.by, event.at) == (to, alice, now)
        assert Operation.objects.get().state == to
    else:
        with pytest.raises(operations.IllegalTransition):
            operation._move(to, by=alice, at=now)
        assert Operation.objects.get().state == start
        assert OperationEvent.objects.count() == before


@pytest.mark.parametrize(("start", "to"), pairs(authorities))
def test_ca_moves_as_drawn_and_no_other_way(ca, start, to):
    put(ca, state=start)

    if to in authorities.TRANSITIONS.get(start, set()):
        ca._move(to)
    else:
        with pytest.raises(authorities.IllegalTransition):
            ca._move(to)
    assert CertificateAuthority.objects.get().state in (start, to)


@pytest.mark.parametrize(("start", "to"), pairs(certificates))
def test_server_certificate_moves_as_drawn_and_no_other_way(ca, servers, start, to):
    row = ServerCertificate.objects.filter(device=servers[0])
    row.update(state=start)

    moved = row.move(to=certificates.State(to))

    assert moved == int(to in certificates.TRANSITIONS.get(start, set()))


@pytest.mark.parametrize("state", ["active", "future"])
def test_one_active_and_one_future_ca(ca, state):
    put(ca, state=state)

    with pytest.raises(IntegrityError), transaction.atomic():
        CertificateAuthority.objects.create(
            zone=ca.zone,
            kind="internal",
            state=state,
            generation=2,
            server=ca.server,
            created_at=clock.now(),
        )


@pytest.mark.parametrize("state", ["current", "future"])
def test_one_current_and_one_coming_certificate_a_server(ca, servers, state):
    ServerCertificate.objects.filter(device=servers[0]).update(state=state)

    with pytest.raises(IntegrityError), transaction.atomic():
        ServerCertificate.objects.create(device=servers[0], state=state, created_at=clock.now())


STEPS = [
    # operation, what is done, issued, released, switched: what is due
    ("preparing", [], False, False, False, Step.REQUEST),
    ("replicating", ["requested"], True, False, False, None),
    ("assigned", ["requested"], False, True, False, None),
    ("assigned", ["requested"], True, True, False, Step.STAGE),
    ("assigned", ["requested", "staged"], True, True, False, None),
    ("armed", ["requested", "staged"], True, True, False, Step.ARM),
    ("armed", ["requested", "staged", "armed"], True, True, False, None),
    ("activating", ["requested", "staged"], True, True, True, Step.ACTIVATE),
    ("overlap", ["requested"], True, True, True, Step.STAGE),
    ("overlap", ["requested", "staged", "activated"], True, True, True, None),
    ("completed", ["requested", "staged", "activated"], True, True, True, Step.RETIRE),
    ("completed", ["requested", "staged", "activated", "retired"], True, True, True, None),
    ("completed", ["requested", "staged"], True, True, True, Step.ACTIVATE),
    ("cancelling", ["requested", "staged"], True, True, False, Step.CLEAN),
    ("cancelled", [], False, False, False, Step.CLEAN),
    ("cancelled", ["cleaned"], False, False, False, None),
]

# The same, as far as they are another with the Certificate Updater Tool to be run.
STEPS_WITH_TOOL = [
    ("assigned", ["requested"], False, True, False, Step.UPDATE),
    ("assigned", ["requested"], True, True, False, Step.STAGE),
    ("assigned", ["requested", "staged"], True, True, False, Step.UPDATE),
    ("armed", ["requested", "staged"], True, True, False, Step.ARM),
    ("armed", ["requested", "staged", "armed"], True, True, False, None),
    ("activating", ["requested", "staged"], True, True, True, Step.ACTIVATE),
    ("overlap", ["requested", "staged", "activated"], True, True, True, Step.UPDATE),
    ("completed", ["requested", "staged", "activated"], True, True, True, Step.RETIRE),
    ("cancelling", ["requested", "staged"], True, True, False, Step.CLEAN),
    ("rolling_back", ["requested", "staged", "activated"], True, True, True, Step.ROLL_BACK),
]
CASES = [(*case, False) for case in STEPS] + [(*case, True) for case in STEPS_WITH_TOOL]


@pytest.mark.parametrize(("state", "done", "issued", "released", "switched", "due", "tool"), CASES)
def test_step_that_is_due_follows_from_rows(
    make_operation, now, state, done, issued, released, switched, due, tool
):
    row = make_operation("replicating").servers.first()
    for step in ["requested", "staged", "armed", "activated", "retired", "cleaned"]:
        setattr(row, f"{step}_at", now if step in done else None)

    step = row.next_step(
        state,
        is_issued=issued,
        is_released=released,
        is_switched=switched,
        is_updater_due=tool,
    )

    assert step == due
