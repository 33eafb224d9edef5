"""
The guard: who would lose contact at the activation, and why, before it happens.

A device is safe if it is *proven* (it trusts the new CA, it connected to a canary by that alone,
and that server's future certificate is still the same), if the *link* carries it (it trusts the CA
that signed the link), or if the *rescue port* does (it trusts the CA whose chain that port shows).
In Strict only the proof counts. Nothing carries a device that has *refused* the canary: the link
would lead it to the same certificate.
"""

from dataclasses import dataclass

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from certificates import links
from certificates.models import (
    CertificateAuthority,
    LinkCertificate,
    Operation,
    ServerCertificate,
    SignOff,
)
from certificates.models import server_certificate as certificates
from devices.models import Device, Kind
from systemupdates.models import DeviceUpdate
from systemupdates.models import device_update as device_updates
from zcc.templatetags.times import span

# A clock that is more than this wrong is the first thing to look at.
CLOCK_IS_WRONG = 300  # seconds


@dataclass(frozen=True)
class Lost:
    """One device that would be lost: why, and what helps."""

    device: Device
    why: str
    more: str
    helps: str


def future_leaves(operation: Operation) -> list[str]:
    """Return the fingerprints that a proof may have seen: what the canaries show now, or showed."""
    shown = [certificates.State.FUTURE, certificates.State.CURRENT]
    rows = ServerCertificate.objects.filter(operation=operation, state__in=shown)
    return list(rows.exclude(sha256="").values_list("sha256", flat=True))


def proven(operation: Operation) -> QuerySet[DeviceUpdate]:
    """
    The devices whose proof stands.

    It ends when the certificate they saw is replaced, and when they do not trust the new CA any
    more: a proof is what a device says, and so is its trust, but that it says at each refresh.
    """
    ready = (device_updates.State.PENDING, device_updates.State.COMPLETED)
    rows = DeviceUpdate.objects.in_play().filter(update=operation.update_id, state__in=ready)
    rows = rows.filter(proof_leaf__in=future_leaves(operation))
    if operation.new_ca is None:
        return rows.none()
    reported = Cast("device__trusted_fingerprints", TextField())
    return rows.annotate(reported=reported).filter(reported__contains=operation.new_ca.sha256)


def carriers(operation: Operation) -> list[CertificateAuthority]:
    """The CAs of which a device needs to trust one to come in by link or by rescue port."""
    if operation.is_strict:
        return []
    sender = links.oldest_beside(operation.new_ca) if operation.new_ca else None
    by_link = LinkCertificate.objects.filter(
        certified=operation.new_ca_id,
        authority=sender,
        revoked_at=None,
        expires_at__gt=operation.activate_at,
    )
    rows = CertificateAuthority.objects.filter(
        Q(pk=operation.old_ca_id) | Q(pk__in=by_link.values("authority"))
    )
    return list(rows.filter(expires_at__gt=operation.activate_at))


def lost(operation: Operation) -> QuerySet[Device]:
    """
    The devices that would lose contact at the activation if nothing were done.

    Neither the servers, which switch themselves, nor whoever is ignored or retired.
    """
    devices = Device.objects.filter(zone=operation.zone_id).active().exclude_primary_servers()
    rows = DeviceUpdate.objects.filter(update=operation.update_id)
    ignored = rows.filter(state=device_updates.State.IGNORED)
    refused = rows.filter(proof_refused=True)
    devices = devices.exclude(pk__in=ignored.values("device"))
    devices = devices.exclude(pk__in=proven(operation).values("device"))
    reported = devices.annotate(reported=Cast("trusted_fingerprints", TextField()))
    for ca in carriers(operation):
        carried = Q(reported__contains=ca.sha256) & ~Q(pk__in=refused.values("device"))
        reported = reported.exclude(carried)
    return reported.order_by("name")


def unsigned(operation: Operation, signed: SignOff | None) -> QuerySet[Device]:
    """Those of them whom `signed`, the sign-off that stands, does not cover."""
    found = lost(operation)
    if signed is None:
        return found
    covers = not found.exclude(pk__in=signed.device_ids).exists()
    return found.none() if covers else found


def standing_sign_off(operation: Operation) -> SignOff | None:
    return operation.sign_offs.filter(voided_at=None).last()


def why_lost(devices: "QuerySet[Device]", operation: Operation) -> list[Lost]:
    """Return why each of these devices would be lost, and what helps."""
    found = list(devices.select_related("zone"))
    rows = DeviceUpdate.objects.filter(update=operation.update_id, device__in=found)
    updates = {row.device_id: row for row in rows}
    return [_why(device, updates.get(device.pk), operation) for device in found]


def _why(device: Device, row: DeviceUpdate | None, operation: Operation) -> Lost:
    offset = device.clock_offset
    if offset is not None and abs(offset.total_seconds()) > CLOCK_IS_WRONG:
        return Lost(device, f"Its clock is {span(abs(offset))} wrong", _proof(row), "Set its clock")
    if not device.trusted_fingerprints:
        return Lost(device, "It has not reported whom it trusts", "", _reporting(device))
    if row is not None and row.proof_refused:
        why = "It holds the new CA and refuses the certificate that servers will show"
        return Lost(device, why, row.proof_problem, "Mend its TLS settings, or choose another key")
    if not operation.is_strict:
        why = "It trusts no CA that the link or the rescue port speaks for"
        return Lost(device, why, _proof(row), _way_back(device))
    return _why_in_strict(device, row)


def _reporting(device: Device) -> str:
    """What makes a device say whom it trusts."""
    return "Let it sync" if device.kind == Kind.MOBILE else "Start its agent"


def _way_back(device: Device) -> str:
    """What makes a device trust the new CA that cannot learn it from a server."""
    if device.kind == Kind.MOBILE:
        return "Enrol it again with a re-enrolment link"
    return "Run the Certificate Updater Tool"


def _why_in_strict(device: Device, row: DeviceUpdate | None) -> Lost:
    """Nothing carries it there: it has no proof, for one of these reasons."""
    if row is None:
        return Lost(device, "The update is not assigned to it", "", "Wait for the assignment")
    if row.state == device_updates.State.FAILED:
        return Lost(device, "Its update failed", row.reason, "Redeploy, or ignore it")
    if row.state in (device_updates.State.PENDING, device_updates.State.COMPLETED):
        return Lost(device, "It holds the new CA and has no proof", _proof(row), "Look at its log")
    return Lost(device, "It does not know the new CA yet", "Strict: nothing carries it", "Start it")


def _proof(row: DeviceUpdate | None) -> str:
    if row is None:
        return ""
    return row.proof_problem or ("Its proof is out of date." if row.proof_leaf else "")
