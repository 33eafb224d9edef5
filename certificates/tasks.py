"""Celery tasks: claim, call one action, nothing else. The tick looks for what is due and rings."""

import logging

from celery import shared_task

from certificates import (
    custody,
    due,
    evidence_packs,
    home_trust,
    identity_cas,
    initiating_work,
    joining,
    key_ends,
    key_work,
    leftovers,
    linking,
    rehearsing,
    renewing,
    sealed_transfer,
    sealing_keys,
    server_steps,
    setup_page,
)
from certificates.actions import (
    change_ca,
    forecasts,
    identities,
    key_requests,
    operations,
    rehearsals,
    server_certificates,
)
from certificates.models import (
    EvidencePack,
    HomeTrust,
    JoinRequest,
    KeyEnd,
    KeyRemoval,
    KeyRequest,
    MobileIdentity,
    Operation,
    Rehearsal,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.operation import State
from devices.models import Device, Zone
from devices.tasks import note_tick
from zcc.ground import claims, clock, doorbell, here

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def tick() -> None:
    """Once a second: move operations on and ring for what is due. With nothing due: no write."""
    note_tick(clock.now())
    for zone in Zone.objects.all():
        live = Operation.objects.filter(zone=zone).live().order_by("pk")
        for operation in live.select_related("zone", "update", "old_ca", "new_ca"):
            _advance(operation)
        rehearsals.advance_open(zone, now=clock.now())
        key_requests.expire(zone, now=clock.now())
        change_ca.forget_drafts(zone, now=clock.now())
        _ring(zone)


def _ring(zone: Zone) -> None:
    """Ring for what is due, once a second however many servers tick."""
    now = clock.now()
    rings = list(due.rings(zone, now=now))
    if rings and Zone.objects.filter(pk=zone.pk).win_tick(at=now):
        for ring in rings:
            doorbell.ring(ring.task, queue=ring.queue, **ring.ids)


def _advance(operation: Operation) -> None:
    """Two ticks at once are told apart by compare-and-set: the slower one has nothing to do."""
    try:
        operations.advance(operation, now=clock.now())
    except operations.OVERTAKEN as error:
        logger.info("Another tick was first: %s", error)
    except Exception:  # one operation must not keep the tick from everything else that is due
        logger.exception("%s could not be moved on", operation)


@shared_task(ignore_result=True)
def prepare(*, operation_id: int) -> None:
    """On the new CA server: key, CA, links, content."""
    operation = initiating_work.claim(operation_id, state=State.PREPARING, now=clock.now())
    if operation is not None:  # None: done, cancelled, or another worker's
        initiating_work.prepare(operation, home=here.home())


@shared_task(ignore_result=True)
def sign_link(*, request_id: int) -> None:
    """On the server with the key: let its CA vouch for another."""
    now = clock.now()
    request = claims.claim(linking.due(now).filter(pk=request_id), now=now)
    if request is not None:
        initiating_work.sign_link(request, home=here.home())


@shared_task(ignore_result=True)
def give_key(*, transfer_id: int) -> None:
    """On the server that holds the key which another one asks for: seal it for that one."""
    now = clock.now()
    transfer = claims.claim(sealed_transfer.due(now).filter(pk=transfer_id), now=now)
    if transfer is not None:
        initiating_work.give_key(transfer, home=here.home())


@shared_task(ignore_result=True)
def fetch_older_keys(*, zone_id: int) -> None:
    """On the server with the CA role: let the keys of older generations come here."""
    initiating_work.fetch_older_keys(Zone.objects.get(pk=zone_id), home=here.home())


@shared_task(ignore_result=True)
def issue(*, certificate_id: int) -> None:
    """On the server of the CA that is asked: sign one server's request."""
    now = clock.now()
    rows = ServerCertificate.objects.filter(pk=certificate_id).to_be_issued(now)
    row = claims.claim(rows, now=now)
    if row is not None:
        with claims.held(row) as hold:
            server_certificates.issue(row, home=here.home(), hold=hold, now=now)


@shared_task(ignore_result=True)
def issue_identity(*, identity_id: int) -> None:
    """On the server that signs identities: sign a mobile's request."""
    now, server = clock.now(), Device.objects.here()
    rows = MobileIdentity.objects.filter(pk=identity_id).to_be_issued(now)
    row = claims.claim(rows, now=now)
    if row is not None:
        with claims.held(row) as hold:
            identities.issue(row, server=server, home=here.home(), hold=hold, now=now)


@shared_task(ignore_result=True)
def make_identity_ca(*, authority_id: int) -> None:
    """On the signing server: who signs identities while an external CA is in force."""
    row = identity_cas.claim(authority_id, server=Device.objects.here(), now=clock.now())
    if row is not None:
        identity_cas.carry_out(row, home=here.home())


@shared_task(ignore_result=True)
def renew_certificate(*, certificate_id: int) -> None:
    """On one Primary Server: ask for a fresh certificate, or put it to use."""
    now = clock.now()
    rows = renewing.due(now).filter(pk=certificate_id, device=Device.objects.here())
    row = claims.claim(rows, now=now)
    if row is not None:
        renewing.carry_out(row, home=here.home())


@shared_task(ignore_result=True)
def begin_renewals(*, zone_id: int) -> None:
    """On any server: begin what is due by itself."""
    renewing.begin_due(Zone.objects.get(pk=zone_id), now=clock.now())


@shared_task(ignore_result=True)
def server_step(*, progress_id: int) -> None:
    """On one Primary Server: the step that is due in its home."""
    now = clock.now()
    rows = ServerProgress.objects.filter(pk=progress_id, device=Device.objects.here())
    row = claims.claim(rows.free(now), now=now)
    if row is not None:
        server_steps.carry_out(row, home=here.home())


@shared_task(ignore_result=True)
def follow_trust(*, device_id: int) -> None:
    """On one Primary Server: let its home follow the newest trust manifest."""
    device = Device.objects.here()
    if device.pk != device_id:  # a message that went astray
        return
    row, _ = HomeTrust.objects.get_or_create(device=device)
    mine = claims.claim(HomeTrust.objects.filter(pk=row.pk), now=clock.now())
    if mine is not None:
        home_trust.carry_out(mine, home=here.home())


@shared_task(ignore_result=True)
def publish_trust(*, zone_id: int) -> None:
    """On the signing server: the next trust manifest."""
    initiating_work.publish_trust(Zone.objects.get(pk=zone_id), home=here.home())


@shared_task(ignore_result=True)
def make_updater_tool(*, zone_id: int) -> None:
    """On the signing server: the Certificate Updater Tool of the newest operation."""
    initiating_work.make_updater_tool(Zone.objects.get(pk=zone_id), home=here.home())


@shared_task(ignore_result=True)
def make_forecast(*, zone_id: int) -> None:
    """On any server: look anew when how many devices will be ready."""
    forecasts.make(Zone.objects.get(pk=zone_id), now=clock.now())


@shared_task(ignore_result=True)
def finish_cancel(*, operation_id: int) -> None:
    """On the initiating server: destroy the future key and close the books."""
    operation = initiating_work.claim(operation_id, state=State.CANCELLING, now=clock.now())
    if operation is not None:
        initiating_work.finish_cancel(operation, home=here.home())


@shared_task(ignore_result=True)
def destroy_key(*, key_end_id: int) -> None:
    """On the server with the key of a retired CA: destroy it when nothing it signed lives."""
    now = clock.now()
    row = claims.claim(KeyEnd.objects.filter(pk=key_end_id).due(now), now=now)
    if row is not None:
        key_ends.carry_out(row, here=Device.objects.here(), home=here.home())


@shared_task(ignore_result=True)
def make_evidence_pack(*, pack_id: int) -> None:
    """On the signing server: make an operation's evidence pack and sign it."""
    row = claims.claim(EvidencePack.objects.filter(pk=pack_id), now=clock.now())
    if row is not None:
        evidence_packs.carry_out(row, home=here.home())


@shared_task(ignore_result=True)
def answer_join(*, request_id: int) -> None:
    """On the CA server: give a joining server its certificate, or say why not."""
    request = claims.claim(JoinRequest.objects.filter(pk=request_id, device=None), now=clock.now())
    if request is not None:
        with claims.held(request) as hold:
            joining.answer(request, home=here.home(), hold=hold, now=clock.now())


@shared_task(ignore_result=True)
def rehearse(*, rehearsal_id: int) -> None:
    """On the server of a rehearsal: make, move or destroy its throw-away certificate."""
    rows = Rehearsal.objects.filter(pk=rehearsal_id, server=Device.objects.here()).open()
    row = claims.claim(rows, now=clock.now())
    if row is not None:
        rehearsing.carry_out(row, home=here.home())


@shared_task(ignore_result=True)
def key_request(*, pk: int) -> None:
    """On the server whose turn it is: the next step of Backup, Verify, Restore or Move."""
    rows = KeyRequest.objects.filter(pk=pk, turn=Device.objects.here()).open()
    request = claims.claim(rows, now=clock.now())
    if request is not None:
        key_work.carry_out(request, home=here.home())


@shared_task(ignore_result=True)
def remove_keys(*, pk: int) -> None:
    """On a server that no longer has the CA role: destroy its copy of the keys."""
    rows = KeyRemoval.objects.filter(pk=pk, server=Device.objects.here(), done_at=None)
    row = claims.claim(rows, now=clock.now())
    if row is not None:
        custody.carry_out_removal(row, home=here.home(), now=clock.now())


@shared_task(ignore_result=True)
def publish_sealing_key(*, pk: int) -> None:
    """On one Primary Server: sign the key that secrets for it are sealed to."""
    device = Device.objects.here()
    if device.pk == pk:  # not a message that went astray
        sealing_keys.publish(device, home=here.home())


@shared_task(ignore_result=True)
def free_leftovers() -> None:
    """At a worker's start: free what its predecessor held, offer the agent that it brings along."""
    server = Device.objects.filter(guid=here.identity().guid).select_related("zone").first()
    if server is not None:
        leftovers.free(server)
        rehearsing.forget_leftovers(server, home=here.home())
        setup_page.write(server, home=here.home())
