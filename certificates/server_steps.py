"""
What a Primary Server's worker does in its own home for an operation, one step at a time.

Each step first makes the home so, then notes it in the row guarded by the claim. Done twice, it
finds its work done. The home is written by `agent.home` alone, here as on a Satellite.
"""

import logging
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from agent import satellite
from agent.home import Home, HomeError
from certificates import (
    by_hand,
    home_trust,
    issuing,
    links,
    setup_page,
    trust,
    updater_runs,
    wire,
)
from certificates.actions import server_certificates
from certificates.models import Operation, ServerCertificate, ServerProgress, UpdaterTool
from certificates.models import server_certificate as certificates
from certificates.models.server_step import Step
from pki import csr, describe, imports, keys
from systemupdates import actions as updates
from systemupdates import overtaken, replication
from systemupdates.models import device_update as device_updates
from zcc.ground import claims, clock

logger = logging.getLogger(__name__)

RETRY_AFTER = timedelta(seconds=5)
# How often remint-repo is looked at while somebody may put a certificate there.
LOOK_EVERY = timedelta(seconds=5)
# An Immediate operation may want the tool before the signing server has had a second to make it.
TIME_TO_MAKE_UPDATER = timedelta(seconds=10)


class StepFailed(Exception):
    """The step could not be done now; the message is for the user."""


def due_step(row: ServerProgress, *, now: datetime) -> Step | None:
    """Return the step that is due on this server, read from rows."""
    operation = row.operation
    if not _is_anything_left(row):  # nearly always, and then nothing is asked of the database
        return None
    future = _certificate(row)
    released = _is_its_turn(row, now=now)
    step = row.next_step(
        operation.state,
        is_issued=future is not None and future.state == certificates.State.FUTURE,
        is_released=released,
        is_switched=operation.activated_at is not None,
        is_updater_due=released and row.is_updater_wanted and _may_run_updater(row, now=now),
    )
    if step is None and row.may_look(operation.state):
        return Step.LOOK
    return None if step == Step.ARM and go_ahead(operation) is None else step


# A failed or ignored update waits for Redeploy; a completed one has nothing to stage.
_AT_REST = (device_updates.State.FAILED, device_updates.State.IGNORED)


def _is_anything_left(row: ServerProgress) -> bool:
    """Whether a step would be due if everything that it waits for were there."""
    step = row.next_step(
        row.operation.state,
        is_issued=True,
        is_released=True,
        is_switched=row.operation.activated_at is not None,
        is_updater_due=row.is_updater_wanted,
    )
    return step is not None or row.may_look(row.operation.state)


def _is_its_turn(row: ServerProgress, *, now: datetime) -> bool:
    """
    Whether this server may do its part of the update.

    The order is that of the update's groups. An Immediate operation has none before the switch:
    then the others wait for the initiating server if that runs.
    """
    operation = row.operation
    if not operation.is_immediate:
        update_row = operation.update.device_updates.filter(device=row.device).first()
        return (
            update_row is not None and update_row.is_released and update_row.state not in _AT_REST
        )
    if row.device_id == operation.initiating_server_id or row.staged_at:
        return True
    first = operation.servers.filter(device=operation.initiating_server_id)
    found = first.select_related("device__heartbeat").first()
    return found is None or found.is_updater_through or not found.device.is_alive(now)


def _may_run_updater(row: ServerProgress, *, now: datetime) -> bool:
    """Whether its last failure is long enough ago, and it is not only just being made."""
    if row.updater_retry_at is not None and row.updater_retry_at > now:
        return False
    begun_at = row.operation.activated_at if row.operation.is_immediate else None
    is_new = begun_at is not None and now < begun_at + TIME_TO_MAKE_UPDATER
    return not is_new or UpdaterTool.objects.filter(operation=row.operation).exists()


def carry_out(row: ServerProgress, *, home: Home) -> None:
    """Do the step that is due on the claimed row's server, and note that it is done."""
    step = due_step(row, now=clock.now())
    if step is None:
        claims.release(row)
        return
    try:
        with claims.held(row):
            _STEPS[step](row, home)
    except (StepFailed, HomeError, replication.NoSource, OSError, ValueError) as error:
        logger.warning("%s: could not %s: %s", row.device.name, step.label, error)
        claims.mine(row).update(
            problem=_in_words(error)[:400],
            retry_at=clock.now() + RETRY_AFTER,
            claim_id=None,
            lease_until=None,
        )


def _in_words(error: Exception) -> str:
    """What an administrator can mend on the server, where the operating system says what it is."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}. Mend it there; it is tried again by itself."
    return str(error)


def _request(row: ServerProgress, home: Home) -> None:
    if row.is_by_hand:
        home.reserve(str(row.operation.guid))
        _done(row, requested_at=clock.now())
        return
    request = _make_request(row, home)
    now = clock.now()
    with transaction.atomic():
        if _done(row, requested_at=now):  # otherwise another request was asked for meanwhile
            server_certificates.request(row.device, csr=request, operation=row.operation, now=now)


def _make_request(row: ServerProgress, home: Home) -> bytes:
    operation, device, wishes = row.operation, row.device, row.wishes

    def make() -> bytes:
        return keys.to_der(keys.generate(wishes.key_type))

    number = row.request_number
    return csr.build(
        keys.from_der(home.future_key(str(operation.guid), make, request=number)),
        subject_dns=device.dns_name,
        fields=wishes.fields,
        dns_names=issuing.dns_names(device, include_additional=wishes.include_additional_dns_names),
        ip_addresses=list(device.addresses),
    )


def _look(row: ServerProgress, home: Home) -> None:
    """Take what was put into remint-repo, or say on the page why it is not taken."""
    problem, now = "", clock.now()
    try:
        pair = satellite.by_hand(home, str(row.operation.guid))
        if pair is not None:
            by_hand.take(row, pair.leaf, pair.others, now=now)
        else:
            server_certificates.forget_by_hand(row)
    except (HomeError, ValueError) as error:
        problem = str(error)
        server_certificates.forget_by_hand(row)
    claims.mine(row).update(
        problem=problem[:400], retry_at=now + LOOK_EVERY, claim_id=None, lease_until=None
    )


def _pair_by_hand(
    row: ServerProgress, home: Home, certificate: ServerCertificate
) -> imports.Pair | None:
    """What lies in remint-repo, if it still is the certificate that was found there."""
    pair = satellite.by_hand(home, str(row.operation.guid))
    is_same = pair is not None and describe.fingerprint(pair.leaf) == certificate.sha256
    return pair if is_same else None


def _stage(row: ServerProgress, home: Home) -> None:
    operation = row.operation
    if not operation.is_immediate:  # otherwise the content comes by its own schedule, later
        _bring_content(row, home)
    certificate = _certificate(row)
    if certificate is None or operation.new_ca is None:
        raise StepFailed("The future certificate of this server does not exist yet.")
    pair = _pair_by_hand(row, home, certificate) if row.is_by_hand else None
    if row.is_by_hand and pair is None:
        _look(row, home)  # it was exchanged or taken away
        return
    home.stage(
        str(operation.guid),
        chain_pem=chain_pem(certificate),
        ca_pem=trust.anchor_pem(operation.new_ca).encode(),
        link_pem=links.carrier(operation),
        bridge_pem=links.bridge(operation),
        key_der=keys.to_der(pair.key) if pair else None,
    )
    now = clock.now()
    with transaction.atomic():
        if _is_still(certificate):
            _done(row, staged_at=now)
        else:
            claims.release(row)  # a later one has come meanwhile, and is staged next


def _is_still(certificate: ServerCertificate) -> bool:
    rows = ServerCertificate.objects.filter(pk=certificate.pk, sha256=certificate.sha256)
    return rows.filter(state=certificates.State.FUTURE).exists()


def _bring_content(row: ServerProgress, home: Home) -> None:
    _report(row, device_updates.State.DOWNLOADING)
    try:
        sources = updates.sources(row.operation.update, device=row.device)
        replication.bring(row.operation.update, home=home, sources=sources)
    except replication.NoSource as error:
        _report(row, device_updates.State.FAILED, reason=str(error))
        raise
    _report(row, device_updates.State.UPDATING)


def _update(row: ServerProgress, home: Home) -> None:
    """
    Run the Certificate Updater Tool that this server offers.

    What it does or cannot do is shown; everything it does the other steps have done or will do.
    """
    if not row.staged_at and not row.operation.is_immediate:
        _bring_content(row, home)
    facts, said = _facts_of_run(row, home)
    with transaction.atomic():
        if _done(row, **facts):
            updater_runs.note(row, said=said, problem=str(facts["updater_problem"]), at=clock.now())
            row.refresh_from_db(fields=["updater_ran_at", "updater_failures"])
            if row.is_updater_through:
                _report(row, device_updates.State.PENDING)
    # What the zone trusts may have changed since the tool was made.
    home_trust.follow(row.device, home=home)


def _facts_of_run(row: ServerProgress, home: Home) -> tuple[dict[str, object], str]:
    """Return what the row is to say, and what the tool said."""
    try:
        said = updater_runs.run(row.operation, row.device, home=home, now=clock.now())
    except updater_runs.DidNotRun as error:
        logger.warning("%s: the Certificate Updater Tool: %s", row.device.name, error)
        failures = row.updater_failures + 1
        retry_at = clock.now() + updater_runs.again_after(failures)
        return _of_updater(problem=str(error)[:400], failures=failures, retry_at=retry_at), ""
    return _of_updater(problem="", failures=0, retry_at=None, ran_at=clock.now()), said


def _of_updater(**facts: object) -> dict[str, object]:
    return {f"updater_{name}": value for name, value in facts.items()}


def _arm(row: ServerProgress, home: Home) -> None:
    envelope = go_ahead(row.operation)
    if envelope is None:
        raise StepFailed("The go-ahead is not signed yet.")
    home.arm(str(row.operation.guid), envelope.encode())
    _done(row, armed_at=clock.now())


def go_ahead(operation: Operation) -> str | None:
    """Return the signed manifest that lets a server switch by itself, None before it exists."""
    published = trust.published(operation.zone)
    update = trust.update_in(published) if published else None
    is_ours = update is not None and update["operation"] == str(operation.guid)
    if published is None or update is None or not is_ours or not update["armed"]:
        return None
    return published.envelope


def _activate(row: ServerProgress, home: Home) -> None:
    operation = row.operation
    live = home.live()
    if live is None or live.operation != str(operation.guid):
        _stage_again_if_gone(row, home)
        home.activate(str(operation.guid))
    live = home.live()
    shown = wire.why_not_shown(row.device.address, live.leaf_sha256 if live else "")
    if shown is not None:
        raise StepFailed(shown)
    setup_page.write(row.device, home=home)
    certificate = _certificate(row)
    now = clock.now()
    with transaction.atomic():
        if certificate is not None:
            server_certificates.take_into_use(certificate, now=now)
        _report(row, device_updates.State.COMPLETED)
        overtaken.complete(row.device, now=now)
        _done(row, activated_at=now)
    home_trust.follow(row.device, home=home)


def _stage_again_if_gone(row: ServerProgress, home: Home) -> None:
    """Another operation may have emptied remint-repo while this server was late: begin anew."""
    staged = home.staged()
    if staged is None or staged.operation != str(row.operation.guid):
        claims.mine(row).update(requested_at=None, staged_at=None)
        raise StepFailed("The future certificate is no longer in remint-repo; it is made anew.")


def _retire(row: ServerProgress, home: Home) -> None:
    live = home.live()
    if live is not None and live.operation == str(row.operation.guid):  # else a later one's link
        home.retire()
    home_trust.follow(row.device, home=home)
    _done(row, retired_at=clock.now())


def _clean(row: ServerProgress, home: Home) -> None:
    if not updates.let_go_of_content(row.operation.update, row.device, now=clock.now()):
        raise StepFailed("The content is still on its way to this server.")
    home.clean(str(row.operation.guid))
    home_trust.follow(row.device, home=home)
    if row.operation.update.content_sha256:
        home.drop_content(row.operation.update.content_sha256)
    _done(row, cleaned_at=clock.now())


def _roll_back(row: ServerProgress, home: Home) -> None:
    """Show the old certificate again; a server that never switched only forgets the new one."""
    operation, device = row.operation, row.device
    guid = str(operation.guid)
    home.roll_back(guid, link_pem=links.for_leaf_of(operation.old_ca))
    # Before the bridge goes with remint-repo: a server that never switched has sent no other link,
    # and whoever trusts only the new CA would be refused in between.
    home_trust.follow(device, home=home)
    home.clean(guid)
    live = home.live()
    shown = wire.why_not_shown(device.address, live.leaf_sha256 if live else "")
    if shown is not None:
        raise StepFailed(shown)
    setup_page.write(device, home=home)
    if operation.update.content_sha256:
        home.drop_content(operation.update.content_sha256)
    now = clock.now()
    with transaction.atomic():
        server_certificates.take_back(device, operation, shown=live.leaf_sha256 if live else "")
        _done(row, rolled_back_at=now)


_STEPS = {
    Step.REQUEST: _request,
    Step.LOOK: _look,
    Step.STAGE: _stage,
    Step.UPDATE: _update,
    Step.ARM: _arm,
    Step.ACTIVATE: _activate,
    Step.RETIRE: _retire,
    Step.CLEAN: _clean,
    Step.ROLL_BACK: _roll_back,
}


def _done(row: ServerProgress, **facts: object) -> bool:
    """Note what was done and give the row back; False, and nothing, once the claim is lost."""
    done = {"problem": "", "retry_at": None, "claim_id": None, "lease_until": None}
    return bool(claims.mine(row).update(**done, **facts))


def _report(row: ServerProgress, state: device_updates.State, *, reason: str = "") -> None:
    rows = row.operation.update.device_updates.filter(device=row.device)
    rows.move(to=state, by=None, at=clock.now(), reason=reason[:400])


def _certificate(row: ServerProgress) -> ServerCertificate | None:
    """The certificate of this server in this operation, or the request for it."""
    found = ServerCertificate.objects.filter(device=row.device, operation=row.operation)
    return found.exclude(state=certificates.State.CANCELLED).first()


def chain_pem(certificate: ServerCertificate) -> bytes:
    """What a server sends of its own: the leaf and, of an external CA, the intermediates."""
    leaf = certificate.x509().public_bytes(Encoding.PEM)
    return leaf + certificate.intermediates.encode()
