"""What devices and this app tell each other at a refresh: trust, and a Satellite's certificate."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from certificates import (
    by_hand,
    guard,
    issuing,
    links,
    lost_homes,
    retirement,
    server_steps,
    taking_part,
    trust,
)
from certificates.actions import server_certificates
from certificates.models import (
    CertificateAuthority,
    Operation,
    PublishedTrust,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.authority import State as CAState
from certificates.models.authority import distinct
from certificates.models.operation import TAKEN_BACK_STATES
from certificates.models.operation import State as OperationState
from certificates.models.server_certificate import State
from devices.models import Device
from pki import csr, keys
from systemupdates import actions as updates
from systemupdates.models import DeviceUpdate
from systemupdates.models import device_update as device_updates
from zcc.ground import ports
from zcc.ground.wire import entries, guid, text, whole_number


def trusted_anchors(device: Device) -> list[CertificateAuthority]:
    """The CAs that everyone in the zone trusts now, oldest first."""
    return distinct(CertificateAuthority.objects.filter(zone=device.zone_id).trusted())


def manifest_for(device: Device) -> str | None:
    """
    Return the trust manifest if the device should have it: another epoch, or other anchors.

    One whose turn has not come, whose update failed, or that is ignored keeps what it has.
    """
    published = trust.published(device.zone)
    if published is None or not may_be_told(device, published):
        return None
    wanted = sorted(trust.anchors_in(published))
    if device.trust_epoch == published.epoch and device.trusted_fingerprints == wanted:
        return None
    return published.envelope


def may_be_told(device: Device, published: PublishedTrust) -> bool:
    """Whether this manifest is meant for the device now."""
    update = trust.update_in(published)
    if update is None:
        return not _stays_out(device)
    rows = DeviceUpdate.objects.filter(device=device, update__guid=update["id"])
    row = rows.select_related("update").first()
    if row is None:
        return True
    if row.state == device_updates.State.FAILED:
        return bool(update["activated"])
    return row.is_released and row.state != device_updates.State.IGNORED


def _stays_out(device: Device) -> bool:
    """Whether the device was left out of the last update, and that has been baselined since."""
    last = DeviceUpdate.objects.filter(device=device).select_related("update")
    row = last.order_by("update_id").last()
    return row is not None and row.state == device_updates.State.IGNORED


# An Authentication Satellite's certificate


def record(device: Device, report: Mapping[str, Any], *, now: datetime) -> None:
    """Note the device's proof, whether it needs the old CA, and a Satellite's certificates."""
    taking_part.refreshed(device, now=now)
    _record_proof(device, report.get("proof"), now=now)
    retirement.note_need(device, now=now)
    if not device.is_authentication_satellite:
        return
    for entry in entries(report, "certificates"):
        operation = _operation(device, text(entry, "operation"))
        if request := _decoded(text(entry, "csr")):
            _record_request(device, request, operation, entry, now=now)
        _record_by_hand(device, operation, entry, now=now)
        _record_state(device, entry, operation, now=now)
    _record_retired(device, now=now)
    _record_rolled_back(device, report, now=now)


def prove_for(device: Device) -> dict[str, Any] | None:
    """
    Return which canaries the device is to try, None if it holds the proof or cannot yet.

    Asked between its readiness and the activation, and again when the proof has ended.
    """
    waiting = (OperationState.ASSIGNED, OperationState.ARMED)
    rows = Operation.objects.filter(zone=device.zone_id, state__in=waiting)
    operation = rows.select_related("new_ca", "update").first()
    if operation is None or operation.new_ca is None:
        return None
    row = operation.update.device_updates.filter(device=device).first()
    if row is None or row.state != device_updates.State.PENDING:
        return None
    if not row.proof_problem and guard.proven(operation).filter(pk=row.pk).exists():
        return None
    return {
        "update": str(operation.update.guid),
        "new_anchor": operation.new_ca.sha256,
        "canaries": _canaries(operation, device),
    }


def _canaries(operation: Operation, device: Device) -> list[str]:
    """The canaries that are there, another one first for each device."""
    staged = operation.servers.exclude(staged_at=None).filter(device__retired_at=None)
    servers = [row.device for row in staged.select_related("device").order_by("device__name")]
    first = device.pk % len(servers) if servers else 0
    return [ports.canary_url(server.address) for server in servers[first:] + servers[:first]]


def _record_proof(device: Device, proof: Any, *, now: datetime) -> None:
    if not isinstance(proof, dict) or (update := guid(proof, "update")) is None:
        return
    rows = DeviceUpdate.objects.filter(device=device, update__guid=update)
    row = rows.select_related("update").first()
    leaf, problem = text(proof, "leaf").lower(), text(proof, "problem")
    if row is not None and (problem or _FINGERPRINT.fullmatch(leaf)):
        refused = bool(problem) and proof.get("refused") is True
        updates.note_proof(row.update, device, leaf=leaf, problem=problem, refused=refused, at=now)


_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def _record_retired(device: Device, *, now: datetime) -> None:
    """A Satellite that trusts what the zone trusts has forgotten the old CA, and its link."""
    trusted = sorted(ca.sha256 for ca in trusted_anchors(device))
    if device.trusted_fingerprints == trusted:
        completed = ServerProgress.objects.filter(
            device=device, operation__state=OperationState.COMPLETED, retired_at=None
        )
        completed.exclude(activated_at=None).update(retired_at=now)


_ROLLED_BACK = (OperationState.ROLLING_BACK, OperationState.ROLLED_BACK)


def _being_rolled_back(device: Device) -> ServerProgress | None:
    """The Satellite's steps in an operation that is taken back, until it has followed."""
    rows = ServerProgress.objects.filter(device=device, rolled_back_at=None)
    rows = rows.filter(operation__state__in=_ROLLED_BACK)
    return rows.select_related("operation").order_by("pk").last()


def _record_rolled_back(device: Device, report: Mapping[str, Any], *, now: datetime) -> None:
    """A Satellite that shows another certificate than the operation's has gone back."""
    progress = _being_rolled_back(device)
    if progress is None:
        return
    current = [entry for entry in entries(report, "certificates") if entry.get("slot") == "current"]
    shown = text(current[0], "leaf") if current else ""
    others = ServerCertificate.objects.filter(device=device, sha256=shown)
    if shown and others.exclude(operation=progress.operation).exists():
        server_certificates.take_back(device, progress.operation, shown=shown)
        ServerProgress.objects.filter(pk=progress.pk).update(rolled_back_at=now)


def _record_clean(device: Device, *, now: datetime) -> None:
    """A Satellite that reports no future certificate has nothing left of a cancelled operation."""
    cancelled = ServerProgress.objects.filter(
        device=device, operation__state__in=TAKEN_BACK_STATES, cleaned_at=None
    )
    cancelled.update(cleaned_at=now)


def _operation(device: Device, guid: str) -> Operation | None:
    live = Operation.objects.filter(zone=device.zone_id).exclude(
        state__in=[OperationState.CANCELLED, OperationState.CANCELLING]
    )
    return next((found for found in live if str(found.guid) == guid), None) if guid else None


def _decoded(text_: str) -> bytes | None:
    try:
        return base64.b64decode(text_, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _record_request(
    device: Device,
    request: bytes,
    operation: Operation | None,
    entry: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Take a request that proves its key; a bad one is passed over and asked for again."""
    if text(entry, "slot") != "future":
        operation = None  # named is the one that brought the certificate it shows until then
        _record_active(device, text(entry, "leaf"), now=now)  # it may ask and have switched
        if not _is_wanted(device, shown=text(entry, "leaf")):
            return
    elif not _is_asked_for(device, operation, entry):
        return
    try:
        csr.check(request)
    except ValueError:
        return
    server_certificates.request(device, csr=request, operation=operation, now=now)
    _progress(device, operation).filter(requested_at=None).update(requested_at=now)


def _is_wanted(device: Device, *, shown: str) -> bool:
    """Whether a certificate outside an operation is to be made: its first one, or another."""
    rows = ServerCertificate.objects.filter(device=device)
    has_one = bool(shown) and rows.current().filter(sha256=shown).exists()
    is_asked = rows.coming().filter(operation=None).exists()
    return lost_homes.may_have_current(device) and (is_asked or not has_one)


def _is_asked_for(device: Device, operation: Operation | None, entry: Mapping[str, Any]) -> bool:
    """Whether a request for a future certificate is the one that was asked for last."""
    progress = _progress(device, operation).select_related("operation").first()
    if operation is None or progress is None or progress.is_by_hand:
        return False
    return (whole_number(entry, "request") or 0) == progress.request_number


def _record_by_hand(
    device: Device, operation: Operation | None, entry: Mapping[str, Any], *, now: datetime
) -> None:
    """Note what a Satellite found in its remint-repo, or why it could not use that."""
    if operation is None or text(entry, "slot") != "future" or "problem" not in entry:
        return
    progress = _progress(device, operation).select_related("operation", "device").first()
    if progress is None or not progress.is_by_hand or progress.armed_at or progress.activated_at:
        return
    _progress(device, operation).filter(requested_at=None).update(requested_at=now)
    found, problem = text(entry, "found"), text(entry, "problem")
    by_hand.record(progress, chain_pem=found, problem=problem, now=now)


def _record_state(
    device: Device, entry: Mapping[str, Any], operation: Operation | None, *, now: datetime
) -> None:
    rows = _progress(device, operation)
    match text(entry, "state"):
        case "staged" if _is_future(device, operation, text(entry, "leaf")):
            rows.filter(staged_at=None).update(staged_at=now)
        case "armed":
            rows.filter(armed_at=None).update(armed_at=now)
        case "active":
            _record_active(device, text(entry, "leaf"), now=now)
        case "clean" if text(entry, "slot") == "current":
            lost_homes.forget_current(device, now=now)
        case "clean":
            _record_clean(device, now=now)
            if not text(entry, "operation"):  # its home is not meant for any
                lost_homes.forget_future(device)


def _is_future(device: Device, operation: Operation | None, leaf: str) -> bool:
    """Whether the leaf is that of the device's future certificate; it may have been replaced."""
    rows = ServerCertificate.objects.filter(device=device, operation=operation)
    return rows.filter(state=State.FUTURE, sha256=leaf).exists()


def _record_active(device: Device, leaf: str, *, now: datetime) -> None:
    """Note which certificate the Satellite's port shows."""
    shown = ServerCertificate.objects.filter(device=device, sha256=leaf, state=State.FUTURE).first()
    if shown is not None and server_certificates.take_into_use(shown, now=now):
        _progress(device, shown.operation).filter(activated_at=None).update(activated_at=now)


def _progress(device: Device, operation: Operation | None) -> "QuerySet[ServerProgress]":
    return ServerProgress.objects.filter(device=device, operation=operation)


def certificates_for(device: Device) -> list[dict[str, Any]]:
    """Return what an Authentication Satellite should have now: its certificate, and the next."""
    return [_current_slot(device), *_future_slot(device)]


def _current_slot(device: Device) -> dict[str, Any]:
    rows = ServerCertificate.objects.filter(device=device).select_related("authority")
    row = _renewal_or_current(device)
    slot = _slot(device, "current", None, key_type=_active_key_type(device))
    progress = _being_rolled_back(device)
    if progress is not None:
        before = rows.exclude(operation=progress.operation).exclude(activated_at=None)
        row = before.order_by("activated_at").last() or row
        slot["rolled_back"] = str(progress.operation.guid)
    if row is not None and row.authority is not None:
        slot["operation"] = str(row.operation.guid) if row.operation else None
        slot["chain"] = server_steps.chain_pem(row).decode()
        slot["ca"] = trust.anchor_pem(row.authority)
        link = links.for_leaf_of(row.authority)
        slot["link"] = link.decode() if link else None
    return slot


def _renewal_or_current(device: Device) -> ServerCertificate | None:
    """The certificate to show: one that was made anew, none while it is being asked for."""
    rows = ServerCertificate.objects.filter(device=device).select_related("authority", "operation")
    renewal = rows.coming().filter(operation=None).first()
    if renewal is None:
        return rows.current().first()
    return renewal if renewal.state == State.FUTURE else None


def _future_slot(device: Device) -> list[dict[str, Any]]:
    operation = Operation.objects.newest(device.zone)
    ended = (OperationState.CANCELLING, OperationState.CANCEL_FAILED, *_ROLLED_BACK)
    if operation is None or operation.state in ended:
        return []
    # One at a time: two requests on their way would replace each other for ever.
    shows_one = ServerCertificate.objects.filter(device=device).current().exists()
    if not shows_one and lost_homes.may_have_current(device):
        return []
    progress = _progress(device, operation).select_related("operation").first()
    if progress is None or progress.activated_at is not None:
        return []
    slot = _slot(device, "future", operation, key_type=progress.wishes.key_type)
    include = progress.wishes.include_additional_dns_names
    slot["dns_names"] = issuing.dns_names(device, include_additional=include)
    slot["fields"], slot["request"] = progress.wishes.fields, progress.request_number
    slot["by_hand"] = progress.is_by_hand
    row = ServerCertificate.objects.filter(
        device=device, operation=operation, state=State.FUTURE
    ).first()
    if row is not None and operation.new_ca is not None and updates_released(device, operation):
        link, bridge = links.carrier(operation), links.bridge(operation)
        slot["chain"] = server_steps.chain_pem(row).decode()
        slot["ca"] = trust.anchor_pem(operation.new_ca)
        slot["link"] = link.decode() if link else None
        slot["bridge"] = bridge.decode() if bridge else None
    return [slot]


def updates_released(device: Device, operation: Operation) -> bool:
    """Whether the device's turn in the operation's update has come."""
    row = operation.update.device_updates.filter(device=device).first()
    at_rest = (device_updates.State.IGNORED, device_updates.State.FAILED)
    return row is not None and row.is_released and row.state not in at_rest


def _slot(
    device: Device, slot: str, operation: Operation | None, *, key_type: str
) -> dict[str, Any]:
    include = operation is not None and operation.include_additional_dns_names
    return {
        "slot": slot,
        "operation": str(operation.guid) if operation else None,
        "key_type": key_type,
        "subject_dns": device.dns_name,
        "dns_names": issuing.dns_names(device, include_additional=include),
        "ip_addresses": list(device.addresses),
        "chain": None,
        "ca": None,
        "link": None,
        "bridge": None,
    }


def _active_key_type(device: Device) -> str:
    active = CertificateAuthority.objects.get(zone=device.zone_id, state=CAState.ACTIVE)
    return keys.key_type_of(active.x509().public_key()) or keys.DEFAULT
