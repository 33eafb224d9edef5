"""
What happens to the identities of mobile devices: asked for, issued.

Whoever answers the mobile only parks its request as a row; the server of the active CA signs, for
the key never leaves its home. The mobile asks again until it is there (RFC 7030, 4.2.3).
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from agent.home import Home
from certificates import issuing, keys
from certificates.issuing import HasHold
from certificates.models import CertificateAuthority, MobileIdentity
from certificates.models.authority import State as CAState
from certificates.models.certificate import Certificate
from certificates.models.identity import ACCEPTED_STATES, State
from devices import mobiles
from devices.models import Device, EnrolmentLink, Zone
from pki import csr, est
from zcc.ground import claims

RETRY_AFTER = timedelta(seconds=5)
# A mobile that asks and asks must not keep the CA's key busy.
MOST, A_WHILE = 10, timedelta(minutes=15)


class Refused(Exception):
    """No identity is issued for this request; the message is for whoever holds the mobile."""


class TooMany(Exception):
    """The mobile has asked too often; the message is for whoever holds it."""


class CannotIssue(Exception):
    """The zone cannot issue identities at the moment; the message is for whoever asked."""


def issuer(zone: Zone) -> CertificateAuthority | None:
    """Return the CA that signs identities now, None if it is an external one."""
    active = CertificateAuthority.objects.filter(zone=zone, state=CAState.ACTIVE).exclude(der=None)
    found = active.first()
    return found if found is not None and found.is_internal else None


def to_be_issued(zone: Zone, *, now: datetime) -> list[int]:
    """Return the ids of the requests that nobody is signing."""
    rows = MobileIdentity.objects.filter(device__zone=zone).to_be_issued(now)
    return list(rows.values_list("pk", flat=True))


def enrol(zone: Zone, secret: str, request: bytes, *, now: datetime) -> MobileIdentity:
    """
    Park a checked request that came by an enrolment link, or find what has become of it.

    Raises devices.actions.NotEnrolled when the link does not fit, Refused when the request's names
    do not, and CannotIssue.
    """
    _refuse_if_external(zone)
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

    Raises Refused when the request's names are not those of the mobile, TooMany, and CannotIssue.
    """
    device = identity.device
    _refuse_if_external(device.zone)
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


def _refuse_if_external(zone: Zone) -> None:
    if issuer(zone) is None:
        raise CannotIssue("The zone's CA is external: no identity can be issued for a mobile here.")


def _check_names(device: Device, request: bytes) -> None:
    try:
        est.check_names(request, name=device.name, guid=str(device.guid))
    except ValueError as error:
        raise Refused(str(error)) from error


def _park(
    device: Device, request: bytes, *, link: EnrolmentLink | None, now: datetime
) -> MobileIdentity:
    """Keep the request for the CA's server; one that waits already gives way to it."""
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


def issue(row: MobileIdentity, *, home: Home, hold: HasHold, now: datetime) -> None:
    """Sign the claimed request with the CA's key in `home`; what cannot be signed is refused."""
    authority = issuer(row.device.zone)
    if authority is None:
        _move(row, State.REFUSED, reason="The zone's CA is external by now.", ended_at=now)
        return
    try:
        certificate = issuing.sign_identity(
            authority,
            keys.load_ca_key(home, row.device.zone, authority.guid),
            request_der=bytes(row.csr),
            device=row.device,
            hold=hold,
            now=now,
        )
    except keys.KeyUnavailable as error:
        again = {"reason": str(error)[:400], "retry_at": now + RETRY_AFTER}
        claims.mine(row).update(claim_id=None, lease_until=None, **again)
    except ValueError as error:
        _move(row, State.REFUSED, reason=str(error)[:400], ended_at=now)
    else:
        facts = Certificate.columns(certificate)
        _move(row, State.ISSUED, authority=authority, reason="", issued_at=now, **facts)


def _move(row: MobileIdentity, to: State, **facts: object) -> None:
    rows = MobileIdentity.objects.filter(pk=row.pk, claim_id=row.claim_id)
    rows.move(to=to, claim_id=None, lease_until=None, **facts)


def check(request: bytes) -> None:
    """Raise Refused unless the request proves that its sender holds a key that is good enough."""
    try:
        csr.check(request)
    except ValueError as error:
        raise Refused(str(error)) from error
