"""
What happens to the identities of mobile devices: asked for, issued.

Whoever answers the mobile only parks its request as a row; the server with the key signs, that of
the active CA or, under an external one, of the identity CA, for a key never leaves its home. The
mobile asks again until it is there (RFC 7030, 4.2.3).
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from agent.home import Home
from certificates import identities, identity_cas, issuing, keys
from certificates.issuing import HasHold
from certificates.models import CertificateAuthority, IdentityCA, MobileIdentity
from certificates.models.authority import State as CAState
from certificates.models.certificate import Certificate
from certificates.models.identity import ACCEPTED_STATES, State
from devices import mobiles
from devices.models import Device, EnrolmentLink, Zone
from pki import csr, est
from pki.keys import PrivateKey
from zcc.ground import claims

RETRY_AFTER = timedelta(seconds=5)
# A mobile that asks and asks must not keep the CA's key busy.
MOST, A_WHILE = 10, timedelta(minutes=15)


class Refused(Exception):
    """No identity is issued for this request; the message is for whoever holds the mobile."""


class TooMany(Exception):
    """The mobile has asked too often; the message is for whoever holds it."""


def to_be_issued(zone: Zone, *, now: datetime) -> list[int]:
    """Return the ids of the requests that nobody is signing."""
    rows = MobileIdentity.objects.filter(device__zone=zone).to_be_issued(now)
    return list(rows.values_list("pk", flat=True))


def enrol(secret: str, request: bytes, *, now: datetime) -> MobileIdentity:
    """
    Park a checked request that came by an enrolment link, or find what has become of it.

    Raises devices.actions.NotEnrolled when the link does not fit, and Refused when the request's
    names do not.
    """
    with transaction.atomic():
        link = mobiles.use_link(secret, est.key_hash(request), now=now)
        device = link.device
        assert device is not None  # use_link gives it one
        _check_names(device, request)
        known = MobileIdentity.objects.filter(link=link, key_hash=est.key_hash(request))
        found = known.order_by("pk").last()
        return found or _park(device, request, link=link, now=now)


def enrol_again(identity: MobileIdentity, request: bytes, *, now: datetime) -> MobileIdentity:
    """
    Park a checked request of a mobile that calls with `identity`, or find what has become of it.

    Raises Refused when the request's names are not those of the mobile, and TooMany.
    """
    device = identity.device
    _check_names(device, request)
    fresh = MobileIdentity.objects.filter(device=device, key_hash=est.key_hash(request))
    fresh = fresh.filter(pk__gt=identity.pk)
    found = fresh.order_by("pk").last()
    if found is not None and _is_still_good(found):
        return found
    if device.identities.filter(requested_at__gt=now - A_WHILE).count() >= MOST:
        raise TooMany("This mobile has asked for too many identities. Try again later.")
    with transaction.atomic():
        return _park(device, request, link=None, now=now)


def _is_still_good(found: MobileIdentity) -> bool:
    """Whether it is being issued, or was by the CA that is active now."""
    if found.state == State.REQUESTED:
        return True
    is_active = found.authority is not None and found.authority.state == CAState.ACTIVE
    return found.state in ACCEPTED_STATES and is_active


def _check_names(device: Device, request: bytes) -> None:
    try:
        est.check_names(request, name=device.name, guid=str(device.guid))
    except ValueError as error:
        raise Refused(str(error)) from error


def _park(
    device: Device, request: bytes, *, link: EnrolmentLink | None, now: datetime
) -> MobileIdentity:
    """Keep the request for who signs; one that waits already gives way to it."""
    waiting = MobileIdentity.objects.filter(device=device, state=State.REQUESTED)
    waiting.exclude(key_hash=est.key_hash(request)).move(
        to=State.REFUSED, reason="Replaced by a later request.", ended_at=now
    )
    try:
        with transaction.atomic():
            return MobileIdentity.objects.create(
                device=device,
                link=link,
                csr=request,
                key_hash=est.key_hash(request),
                requested_at=now,
            )
    except IntegrityError:  # the same request came twice at once
        return waiting.get()


def issue(row: MobileIdentity, *, server: Device, home: Home, hold: HasHold, now: datetime) -> None:
    """On the server that signs: sign the claimed request; what cannot be signed is refused."""
    signer = identities.signer(row.device.zone)
    if signer is None or signer.server_id != server.pk:
        claims.release(row)  # another one signs by now, or in a moment
        return
    try:
        certificate = issuing.sign_identity(
            signer,
            _key_of(signer, home),
            request_der=bytes(row.csr),
            device=row.device,
            hold=hold,
            now=now,
        )
    except keys.KeyUnavailable as error:
        again = {"reason": str(error)[:400], "retry_at": now + RETRY_AFTER}
        claims.mine(row).update(claim_id=None, lease_until=None, **again)
        if isinstance(signer, IdentityCA):
            identity_cas.replace(signer, at=now)
    except ValueError as error:
        _move(row, State.REFUSED, reason=str(error)[:400], ended_at=now)
    else:
        facts = {**_issuer(signer), **Certificate.columns(certificate)}
        _move(row, State.ISSUED, reason="", issued_at=now, **facts)


def _key_of(signer: CertificateAuthority | IdentityCA, home: Home) -> PrivateKey:
    if isinstance(signer, IdentityCA):
        return keys.load_identity_key(home, signer.authority.zone, signer.guid)
    return keys.load_ca_key(home, signer.zone, signer.guid)


def _issuer(signer: CertificateAuthority | IdentityCA) -> dict[str, object]:
    if isinstance(signer, IdentityCA):
        return {"authority": signer.authority, "identity_ca": signer}
    return {"authority": signer}


def _move(row: MobileIdentity, to: State, **facts: object) -> None:
    rows = MobileIdentity.objects.filter(pk=row.pk, claim_id=row.claim_id)
    rows.move(to=to, claim_id=None, lease_until=None, **facts)


def check(request: bytes) -> None:
    """Raise Refused unless the request proves that its sender holds a key that is good enough."""
    try:
        csr.check(request)
    except ValueError as error:
        raise Refused(str(error)) from error
