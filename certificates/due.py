"""
What is due in the zone now, read from rows. Asking writes nothing.

The tick rings for what is found here. A row that a worker holds is not due, nor is one of a server
without a heartbeat: it is found again when the server is back.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from certificates import (
    home_trust,
    key_work,
    linking,
    older_keys,
    preparing,
    rehearsing,
    renewing,
    sealed_transfer,
    server_steps,
    trust,
    updater_tool,
)
from certificates.actions import forecasts, identities, operations, server_certificates
from certificates.models import (
    CertificateAuthority,
    EvidencePack,
    JoinRequest,
    KeyEnd,
    Operation,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.authority import State as CAState
from certificates.models.operation import LIVE_STATES, State
from devices.models import Device, Zone
from systemupdates.models import Replication


class Ring(NamedTuple):
    """One message to send: which task, on which queue, about which row."""

    task: str
    queue: str
    ids: dict[str, int]


def rings(zone: Zone, *, now: datetime) -> Iterator[Ring]:
    """Yield a message for everything that a worker should do now."""
    alive = {server.pk: server for server in Device.objects.filter(zone=zone).active().alive(now)}
    yield from _content(alive, now=now)
    yield from _server_steps(zone, alive, now=now)
    yield from _key_ends(alive, now=now)
    for server in home_trust.behind(zone, alive):
        yield Ring("certificates.tasks.follow_trust", server.queue, {"device_id": server.pk})
    yield from _with_keys(zone, alive, now=now)
    yield from _identities(zone, alive, now=now)
    if alive and forecasts.due(zone, now=now):  # any of them can do it
        queue = alive[min(alive)].queue
        yield Ring("certificates.tasks.make_forecast", queue, {"zone_id": zone.pk})
    for task, queue, pk in key_work.due(zone, alive, now=now):
        yield Ring(f"certificates.tasks.{task}", queue, {"pk": pk})
    for row in renewing.due(now).filter(device__in=alive):
        queue = alive[row.device_id].queue
        yield Ring("certificates.tasks.renew_certificate", queue, {"certificate_id": row.pk})
    rehearsal = rehearsing.due(zone, now=now)
    if rehearsal is not None and rehearsal.server_id in alive:
        queue = alive[rehearsal.server_id].queue
        yield Ring("certificates.tasks.rehearse", queue, {"rehearsal_id": rehearsal.pk})
    signing = signing_server(zone)
    if signing is not None and signing.pk in alive:
        yield from _signing(zone, signing.queue, now=now)
        if older_keys.is_due(zone, signing, now=now):
            yield Ring("certificates.tasks.fetch_older_keys", signing.queue, {"zone_id": zone.pk})


def signing_server(zone: Zone) -> Device | None:
    """Return the server that holds the CA keys and the update key."""
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE)
    ca = active.select_related("server").first()
    return ca.server if ca else None


def _content(alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    for row in Replication.objects.due(now).filter(server__in=alive):
        queue = alive[row.server_id].queue
        yield Ring("systemupdates.tasks.replicate", queue, {"replication_id": row.pk})


def _server_steps(zone: Zone, alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    """The steps of the newest operation, and what ended ones still have to clean up."""
    newest = Operation.objects.newest(zone)
    rows = ServerProgress.objects.free(now).filter(device__in=alive)
    rows = rows.filter(operation__in=[newest] if newest else []) | rows.filter(
        operation__state=State.CANCELLED, cleaned_at=None
    ).filter(operation__zone=zone)
    rows |= ServerProgress.objects.free(now).filter(
        device__in=alive,
        operation__zone=zone,
        operation__state=State.COMPLETED,
        retired_at=None,
        activated_at__isnull=False,
    )
    rows |= ServerProgress.objects.free(now).filter(
        device__in=alive,
        operation__zone=zone,
        operation__state=State.ROLLED_BACK,
        rolled_back_at=None,
    )
    for row in rows.select_related("operation__update", "device"):
        if server_steps.due_step(row) is not None:
            queue = alive[row.device_id].queue
            yield Ring("certificates.tasks.server_step", queue, {"progress_id": row.pk})


def _key_ends(alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    """Keys of retired CAs that no living certificate needs any more."""
    rows = KeyEnd.objects.due(now).filter(authority__server__in=alive)
    for pk, server in rows.values_list("pk", "authority__server"):
        yield Ring("certificates.tasks.destroy_key", alive[server].queue, {"key_end_id": pk})


def _with_keys(zone: Zone, alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    """What needs a key that one server has: an operation's, a CA's, or one to be handed over."""
    for operation in Operation.objects.filter(zone=zone, state__in=LIVE_STATES):
        server = alive.get(operation.initiating_server_id)
        task = _operation_task(operation, now=now)
        if server is not None and task:
            yield Ring(task, server.queue, {"operation_id": operation.pk})
    for row, server_id in certificates_to_issue(zone, now=now):
        if server_id in alive:
            queue = alive[server_id].queue
            yield Ring("certificates.tasks.issue", queue, {"certificate_id": row.pk})
    for request in linking.due(now).filter(operation__zone=zone).select_related("authority"):
        if request.authority.server_id in alive:
            queue = alive[request.authority.server_id].queue
            yield Ring("certificates.tasks.sign_link", queue, {"request_id": request.pk})
    for transfer in sealed_transfer.due(now).filter(zone=zone, sender__in=alive):
        queue = alive[transfer.sender_id].queue
        yield Ring("certificates.tasks.give_key", queue, {"transfer_id": transfer.pk})


def _identities(zone: Zone, alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    """What mobiles have asked for; the server of the active CA signs."""
    waiting = identities.to_be_issued(zone, now=now)
    issuer = identities.issuer(zone) if waiting else None
    if issuer is not None and issuer.server_id in alive:
        queue = alive[issuer.server_id].queue
        for pk in waiting:
            yield Ring("certificates.tasks.issue_identity", queue, {"identity_id": pk})


def _signing(zone: Zone, queue: str, *, now: datetime) -> Iterator[Ring]:
    """What needs the keys that only the signing server holds."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    for request in JoinRequest.objects.filter(free, device=None, refusal=""):
        yield Ring("certificates.tasks.answer_join", queue, {"request_id": request.pk})
    packs = EvidencePack.objects.due(now).filter(operation__zone=zone)
    for pk in packs.values_list("pk", flat=True):
        yield Ring("certificates.tasks.make_evidence_pack", queue, {"pack_id": pk})
    if renewing.due_by_itself(zone, now=now):
        yield Ring("certificates.tasks.begin_renewals", queue, {"zone_id": zone.pk})
    if trust.is_due(zone, now=now):
        yield Ring("certificates.tasks.publish_trust", queue, {"zone_id": zone.pk})
    if updater_tool.is_due(zone):
        yield Ring("certificates.tasks.make_updater_tool", queue, {"zone_id": zone.pk})


def _operation_task(operation: Operation, *, now: datetime) -> str | None:
    busy = operation.lease_until is not None and operation.lease_until > now
    waiting = operation.retry_at is not None and operation.retry_at > now
    if busy or waiting:
        return None
    if operation.state == State.PREPARING and not preparing.waits_for(operation):
        return "certificates.tasks.prepare"
    if operation.state == State.CANCELLING and not operations.unconfirmed_servers(
        operation, now=now
    ):
        return "certificates.tasks.finish_cancel"
    return None


def certificates_to_issue(zone: Zone, *, now: datetime) -> list[tuple[ServerCertificate, int]]:
    """
    Requests whose CA exists, and the id of the server that has its key.

    The CA of an operation's request is its new one, otherwise the active one.
    """
    rows = ServerCertificate.objects.to_be_issued(now).filter(device__zone=zone)
    found = [(row, server_certificates.issuer_of(row)) for row in rows.select_related("operation")]
    return [
        (row, issuer.server_id)
        for row, issuer in found
        if issuer is not None and issuer.server_id is not None
    ]
