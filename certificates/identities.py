"""
Which mobile calls, by the certificate that it showed in the handshake; and what it is told of that.

TLS has verified the certificate by the CAs of `issuers_pem`. That is not enough: whether an
identity still counts is asked of its row, so that one that was replaced, or whose mobile is
retired, is dead at once.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import identity_cas, retirement, trust
from certificates.models import (
    CertificateAuthority,
    IdentityCA,
    LinkCertificate,
    MobileIdentity,
    Operation,
)
from certificates.models.authority import State as CAState
from certificates.models.authority import distinct
from certificates.models.identity import State
from certificates.models.operation import TAKEN_BACK_STATES
from devices.models import Zone
from systemupdates.models import DeviceUpdate
from systemupdates.models import device_update as device_updates


class NotAccepted(Exception):
    """The certificate is no identity with which a mobile may call; the message says why."""


def of_call(der: bytes, *, now: datetime) -> MobileIdentity:
    """Return the identity that was shown in the handshake, and note its use. NotAccepted."""
    rows = MobileIdentity.objects.filter(sha256=hashlib.sha256(der).hexdigest())
    identity = rows.select_related("device__zone", "authority").first()
    if identity is None:
        raise NotAccepted("This certificate is not an identity that this zone has issued.")
    if identity.device.is_retired:
        raise NotAccepted("This mobile is retired. An administrator can bring it back.")
    if identity.state == State.PREVIOUS:
        raise NotAccepted(
            "This identity has been replaced. Call with the newer one, or enrol again by a link."
        )
    if why_not := why_cut_off(identity):
        raise NotAccepted(why_not)
    identity.note_use(at=now)
    if identity.authority is not None:
        retirement.note_use(identity.authority, now=now)
    return identity


def why_cut_off(identity: MobileIdentity) -> str:
    """
    Return why an identity of an earlier CA ended with the activation; nothing if it did not.

    "The devices have to be re-enrolled" (manual): only in Strict, and only a mobile that had not
    taken the new CA by then.
    """
    operation = strict_activation(identity.device.zone)
    if operation is None or operation.new_ca is None or identity.authority is None:
        return ""
    if identity.authority.generation >= operation.new_ca.generation:
        return ""
    rows = DeviceUpdate.objects.filter(device=identity.device_id, update=operation.update_id)
    if rows.filter(state__in=device_updates.APPLIED_STATES).exists():
        return ""
    return "The zone's CA was replaced while this mobile was away. Enrol it again by a link."


def strict_activation(zone: Zone) -> Operation | None:
    """Return the newest operation if it is one of those that cut off whoever came too late."""
    operation = Operation.objects.newest(zone)
    if operation is None or not operation.is_strict or operation.activated_at is None:
        return None
    return operation


def told(identity: MobileIdentity, *, now: datetime) -> dict[str, Any]:
    """Return what a mobile is told of its identity at a sync: whether to renew it now."""
    return {"sha256": identity.sha256, "renew": is_to_be_renewed(identity, now=now)}


def signer(zone: Zone) -> CertificateAuthority | IdentityCA | None:
    """Return who signs identities now; None while that of an external CA is being made."""
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE).exclude(der=None)
    found = active.first()
    return found if found is None or found.is_internal else identity_cas.in_force(found)


def is_to_be_renewed(identity: MobileIdentity, *, now: datetime) -> bool:
    """Whether another CA is the active one by now, or two thirds of its life are over."""
    zone, authority = identity.device.zone, identity.authority
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE).first()
    if active is None or authority is None:
        return False
    if authority.pk != active.pk:
        return True
    signs = signer(zone)
    if signs is None or signs.expires_at is None:
        return False
    if identity.valid_from is None or identity.expires_at is None:
        return False
    third = (identity.expires_at - identity.valid_from) / 3
    return now >= identity.expires_at - third and signs.expires_at > identity.expires_at


def believable(
    report: Mapping[str, Any], identity: MobileIdentity, *, now: datetime
) -> dict[str, Any]:
    """Return the report without a completed update as long as the mobile has its old identity."""
    if not is_to_be_renewed(identity, now=now):
        return dict(report)
    steps = report.get("steps")
    kept = [
        step
        for step in (steps if isinstance(steps, list) else [])
        if not (isinstance(step, dict) and step.get("state") == device_updates.State.COMPLETED)
    ]
    return {**report, "steps": kept}


_LET_IN = (CAState.FUTURE, CAState.ACTIVE, CAState.SUPERSEDED)


def issuers_pem(zone: Zone) -> bytes:
    """
    Return the CAs by which the device API verifies identities: also an old one's last.

    An identity of an unknown issuer would end the handshake, and its mobile could not be told why.
    """
    taken_back = Operation.objects.filter(zone=zone, state__in=TAKEN_BACK_STATES).values("guid")
    living = MobileIdentity.objects.accepted()
    rows = CertificateAuthority.objects.filter(zone=zone).exclude(der=None)
    coming = rows.filter(state__in=_LET_IN).exclude(state=CAState.FUTURE, guid__in=taken_back)
    found = coming | rows.filter(pk__in=living.values("authority"))
    own = IdentityCA.objects.of_zone(zone).made()
    let_in = own.filter(authority__in=coming) | own.filter(pk__in=living.values("identity_ca"))
    issuers = [*distinct(found.order_by("generation")), *let_in.order_by("pk")]
    return "".join(trust.anchor_pem(issuer) for issuer in issuers).encode()


def ca_certificates(zone: Zone) -> list[x509.Certificate]:
    """
    Return what EST calls the CA certificates: whom to trust, and the links between them.

    RFC 7030, 4.1.3: the current root, and OldWithNew and NewWithOld beside it while there are two.
    Not among them is who signs identities under an external CA: a client trusts for servers what
    it is sent here, and nobody but this zone's servers verifies an identity.
    """
    wanted = trust.wanted(zone)["anchors"]
    anchors = [x509.load_pem_x509_certificate(pem.encode()) for pem in wanted]
    known = {anchor.public_bytes(Encoding.DER) for anchor in anchors}
    rows = LinkCertificate.objects.filter(certified__zone=zone, revoked_at=None).exclude(der=None)
    links = [
        row.x509()
        for row in rows.select_related("certified", "authority").order_by("pk")
        if {bytes(row.certified.der or b""), bytes(row.authority.der or b"")} <= known
    ]
    return [*anchors, *links]
