"""
What is due in the zone now, read from rows. Asking writes nothing.

The tick rings for what is found here. A row that a worker holds is not due, nor is one of a server
without a heartbeat: it is found again when the server is back.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Exists, Q, QuerySet

from certificates import (
    home_trust,
    identities,
    identity_cas,
    key_work,
    linking,
    older_keys,
    preparing,
    rehearsing,
    renewing,
    sealed_transfer,
    sealing_keys,
    server_steps,
    trust,
    updater_tool,
)
from certificates.actions import forecasts, operations, server_certificates
from certificates.actions import identities as requested
from certificates.models import (
    CertificateAuthority,
    EvidencePack,
    JoinRequest,
    KeyEnd,
    Operation,
    Rehearsal,
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


class Rows(NamedTuple):
    """Rows that are due, and on whose queue: `server` is the column with that server."""

    rows: "QuerySet[Any]"
    server: str = ""
    id_name: str = ""


def rings(zone: Zone, *, now: datetime) -> Iterator[Ring]:
    """Yield a message for everything that a worker should do now."""
    alive = {server.pk: server for server in Device.objects.filter(zone=zone).active().alive(now)}
    if not alive:
        return
    due = _where_there_is_any(_asked_in_one(zone, now=now))
    yield from _one_server_each(due, alive)
    yield from _server_steps(zone, alive, now=now)
    for server in home_trust.behind(zone, alive):
        yield Ring("certificates.tasks.follow_trust", server.queue, {"device_id": server.pk})
    yield from _with_keys(zone, alive, due, now=now)
    if forecasts.due(zone, now=now):  # any of them can do it
        queue = alive[min(alive)].queue
        yield Ring("certificates.tasks.make_forecast", queue, {"zone_id": zone.pk})
    for server in sealing_keys.unpublished(alive):
        yield Ring("certificates.tasks.publish_sealing_key", server.queue, {"pk": server.pk})
    rehearsal = rehearsing.due(zone, now=now) if "rehearse" in due else None
    if rehearsal is not None and rehearsal.server_id in alive:
        queue = alive[rehearsal.server_id].queue
        yield Ring("certificates.tasks.rehearse", queue, {"rehearsal_id": rehearsal.pk})
    signing = signing_server(zone)
    if signing is not None and signing.pk in alive:
        yield from _signing(zone, signing.queue, due, now=now)
        if older_keys.is_due(zone, signing, now=now):
            yield Ring("certificates.tasks.fetch_older_keys", signing.queue, {"zone_id": zone.pk})


def _asked_in_one(zone: Zone, *, now: datetime) -> dict[str, Rows]:
    """
    What is due by its own columns, by the task that does it.

    The tick asks for all of it in one query: nearly always there is nothing.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    requests, removals = key_work.due(zone, now=now)
    return {
        "replicate": Rows(Replication.objects.due(now), "server", "replication_id"),
        "destroy_key": Rows(KeyEnd.objects.due(now), "authority__server", "key_end_id"),
        "sign_link": Rows(
            linking.due(now).filter(operation__zone=zone), "authority__server", "request_id"
        ),
        "give_key": Rows(sealed_transfer.due(now).filter(zone=zone), "sender", "transfer_id"),
        "key_request": Rows(requests, "turn", "pk"),
        "remove_keys": Rows(removals, "server", "pk"),
        "renew_certificate": Rows(renewing.due(now), "device", "certificate_id"),
        "issue": Rows(_requests(zone, now=now)),
        "rehearse": Rows(Rehearsal.objects.filter(free, zone=zone).open()),
        "answer_join": Rows(JoinRequest.objects.filter(free, device=None, refusal="")),
        "make_evidence_pack": Rows(EvidencePack.objects.due(now).filter(operation__zone=zone)),
    }


def _where_there_is_any(found: dict[str, Rows]) -> dict[str, Rows]:
    """Return those of which a row exists; one query for all."""
    exist = {name: Exists(one.rows.order_by()) for name, one in found.items()}
    answers: Any = Zone.objects.order_by("pk").values(**exist)[0]
    return {name: one for name, one in found.items() if answers[name]}


def _one_server_each(due: dict[str, Rows], alive: dict[int, Device]) -> Iterator[Ring]:
    """What is due on the one server that its row names, if that server is alive."""
    for name, (rows, server, id_name) in due.items():
        if server:
            app = "systemupdates" if name == "replicate" else "certificates"
            mine = rows.filter(**{f"{server}__in": alive})
            for pk, server_id in mine.values_list("pk", server):
                yield Ring(f"{app}.tasks.{name}", alive[server_id].queue, {id_name: pk})


def signing_server(zone: Zone) -> Device | None:
    """Return the server that holds the CA keys and the update key."""
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE)
    ca = active.select_related("server").first()
    return ca.server if ca else None


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
        if server_steps.due_step(row, now=now) is not None:
            queue = alive[row.device_id].queue
            yield Ring("certificates.tasks.server_step", queue, {"progress_id": row.pk})


def _with_keys(
    zone: Zone, alive: dict[int, Device], due: dict[str, Rows], *, now: datetime
) -> Iterator[Ring]:
    """What needs a key that one server has: an operation's, a CA's, or a mobile's issuer's."""
    for operation in Operation.objects.filter(zone=zone, state__in=LIVE_STATES):
        server = alive.get(operation.initiating_server_id)
        task = _operation_task(operation, now=now)
        if server is not None and task:
            yield Ring(task, server.queue, {"operation_id": operation.pk})
    for row, server_id in certificates_to_issue(zone, now=now) if "issue" in due else []:
        if server_id in alive:
            queue = alive[server_id].queue
            yield Ring("certificates.tasks.issue", queue, {"certificate_id": row.pk})
    yield from _identities(zone, alive, now=now)


def _identities(zone: Zone, alive: dict[int, Device], *, now: datetime) -> Iterator[Ring]:
    """What mobiles have asked for, and what signs it while the zone's CA is an external one."""
    for authority in identity_cas.to_be_made(zone, now=now):
        if authority.server_id in alive:
            queue, ids = alive[authority.server_id].queue, {"authority_id": authority.pk}
            yield Ring("certificates.tasks.make_identity_ca", queue, ids)
    waiting = requested.to_be_issued(zone, now=now)
    signer = identities.signer(zone) if waiting else None
    if signer is not None and signer.server_id in alive:
        queue = alive[signer.server_id].queue
        for pk in waiting:
            yield Ring("certificates.tasks.issue_identity", queue, {"identity_id": pk})


def _signing(zone: Zone, queue: str, due: dict[str, Rows], *, now: datetime) -> Iterator[Ring]:
    """What needs the keys that only the signing server holds."""
    for name, id_name in {"answer_join": "request_id", "make_evidence_pack": "pack_id"}.items():
        for pk in due[name].rows.values_list("pk", flat=True) if name in due else []:
            yield Ring(f"certificates.tasks.{name}", queue, {id_name: pk})
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
    rows = _requests(zone, now=now).select_related("operation")
    found = [(row, server_certificates.issuer_of(row)) for row in rows]
    return [
        (row, issuer.server_id)
        for row, issuer in found
        if issuer is not None and issuer.server_id is not None
    ]


def _requests(zone: Zone, *, now: datetime) -> "QuerySet[ServerCertificate]":
    return ServerCertificate.objects.to_be_issued(now).filter(device__zone=zone)
