"""
Which keys may lie in which home, and who has the CA role.

A CA's key belongs on the server that its row names, and nowhere else: the role moves by one UPDATE,
and whoever finds a key at home that its row gives to another server destroys it. A server looks
before it answers anybody (zcc.processes.server), so that one that was away cannot sign on its
return.
"""

import threading
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from agent.faults import fault_point
from agent.home import Home
from certificates import keys
from certificates.actions import key_requests
from certificates.actions.authorities import in_progress
from certificates.backups import CannotDo
from certificates.models import CertificateAuthority, KeyRemoval, KeyRequest, Operation
from certificates.models.authority import State as CAState
from certificates.models.key_request import Kind
from devices.models import Device, Zone
from zcc.ground import claims

# In one server's worker: no key is destroyed between its being stored and its being given the role.
LOCK = threading.Lock()


def hand_over(request: KeyRequest, guids: set[UUID], *, now: datetime, **facts: Any) -> None:
    """
    Give the role, for the CAs `guids`, to the server that has proven their keys.

    Raises CannotDo when an operation has begun meanwhile, LeaseLost when the request is over.
    """
    with transaction.atomic():
        rows = CertificateAuthority.objects.filter(zone=request.zone, guid__in=guids)
        rows = rows.select_for_update()  # an operation that begins looks at these, too
        before = {ca.server_id for ca in rows if ca.server_id is not None}
        _settle_operation(request, now=now)
        rows.update(server=request.server)
        request.finish(at=now, **facts)
        for server in Device.objects.filter(pk__in=before).exclude(pk=request.server_id):
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
    with LOCK:
        if KeyRequest.objects.open().of_the_role().filter(server=server).exists():
            return 0  # the keys are on their way here
        rows = CertificateAuthority.objects.filter(zone=server.zone_id, server=server)
        rows = rows.exclude(state=CAState.CANCELLED)
        begun = Operation.objects.filter(zone=server.zone_id, initiating_server=server).open()
        guids = {*rows.values_list("guid", flat=True), *begun.values_list("guid", flat=True)}
        return keys.destroy_others(home, server.zone, guids)
