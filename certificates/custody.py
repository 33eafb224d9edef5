"""
Which keys may lie in which home, and who has the CA role.

A CA's key belongs on the server that its row names, and nowhere else: the role moves by one UPDATE,
and whoever finds a key at home that its row gives to another server destroys it. A server looks
before it answers anybody (zcc.processes.server), so that one that was away cannot sign on its
return. The row of an external CA names the server that signs what devices are told to trust: it has
the update key, and the keys of identity CAs.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from agent.faults import fault_point
from agent.home import Home
from certificates import identity_cas, keys
from certificates.actions import key_requests
from certificates.actions.authorities import in_progress
from certificates.backups import CannotDo
from certificates.models import (
    CertificateAuthority,
    IdentityCA,
    KeyRemoval,
    KeyRequest,
    Operation,
)
from certificates.models.authority import TRUSTED_STATES
from certificates.models.authority import Kind as CAKind
from certificates.models.authority import State as CAState
from certificates.models.key_request import Kind
from certificates.models.operation import TAKEN_BACK_STATES
from certificates.models.operation import State as OperationState
from devices.models import Device, Zone
from zcc.ground import claims


@dataclass(frozen=True)
class Given:
    """Of which CAs of the zone, and of which identity CAs, a server has proven the keys."""

    authorities: set[UUID]
    identities: set[UUID]


def hand_over(request: KeyRequest, given: Given, *, now: datetime, **facts: Any) -> None:
    """
    Give the role to the server that has proven these keys, and the update key.

    Raises CannotDo when an operation has begun meanwhile, LeaseLost when the request is over.
    """
    with transaction.atomic():
        signed_for = Q(kind=CAKind.EXTERNAL, state__in=TRUSTED_STATES, server=request.holder)
        rows = CertificateAuthority.objects.filter(zone=request.zone)
        rows = rows.filter(Q(guid__in=given.authorities) | signed_for)
        rows = rows.select_for_update()  # an operation that begins looks at these, too
        found = list(rows)
        before = {ca.server_id for ca in found if ca.server_id is not None}
        _settle_operation(request, now=now)
        CertificateAuthority.objects.filter(pk__in=[ca.pk for ca in found]).update(
            server=request.server
        )
        signers = IdentityCA.objects.of_zone(request.zone).in_force()
        signers.filter(guid__in=given.identities).update(server=request.server)
        request.finish(at=now, **facts)
        # Also in the new server's home lies perhaps what it was sent and not given.
        for server in Device.objects.filter(pk__in=before | {request.server_id}):
            key_requests.remove_keys(server, now=now)
    fault_point("role-moved")


def _settle_operation(request: KeyRequest, *, now: datetime) -> None:
    """No operation may be open; one that lost its server is ended by the one that replaces it."""
    live = Operation.objects.filter(zone=request.zone).open()
    abandoned = key_requests.abandoned_operation(request.zone, now=now)
    if request.kind == Kind.RESTORE and abandoned is not None:
        live.filter(pk=abandoned.pk).update(initiating_server=request.server)
    else:
        refuse_while_busy(request.zone)


def refuse_while_busy(zone: Zone) -> None:
    """Raise CannotDo, saying which, while an operation is open."""
    if Operation.objects.filter(zone=zone).open().exists():
        raise CannotDo(in_progress(zone))


def carry_out_removal(row: KeyRemoval, *, home: Home, now: datetime) -> None:
    """On the claimed row's server: destroy what must not lie here, and note that it is done."""
    tidy(row.server, home=home)
    claims.mine(row).update(done_at=now, claim_id=None, lease_until=None)


def tidy(server: Device, *, home: Home) -> int:
    """Destroy every key in this home that belongs on another server; return how many."""
    with keys.LOCK:
        if KeyRequest.objects.open().of_the_role().filter(server=server).exists():
            return 0  # the keys are on their way here
        rows = CertificateAuthority.objects.filter(zone=server.zone_id, server=server)
        rows = rows.exclude(state=CAState.CANCELLED)
        operations = Operation.objects.filter(zone=server.zone_id)
        ending = operations.filter(state__in=TAKEN_BACK_STATES).values("guid")
        rows = rows.exclude(state=CAState.FUTURE, guid__in=ending)
        begun = operations.filter(initiating_server=server).open()
        begun = begun.exclude(state=OperationState.ROLLING_BACK)  # its CA has a row of its own
        guids = {*rows.values_list("guid", flat=True), *begun.values_list("guid", flat=True)}
        # Not for a CA that is retired: the row of an external one names its server for ever.
        is_signing = rows.filter(state__in=[*TRUSTED_STATES, CAState.FUTURE]).exists()
        signs = is_signing or begun.exists()
        number = keys.destroy_others(home, server.zone, guids, keep_update_key=signs)
        return number + identity_cas.forget_unneeded(server, home=home)
