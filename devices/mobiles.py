"""
How a mobile device gets an identity: by a link that an administrator makes, and that works once.

The link is all that whoever holds the mobile has to be given: where to go, the secret, and the
fingerprints of the CAs that the server may show. What the mobile then gets is a certificate, and
that is the business of `certificates`.
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from devices.actions import InvalidNames, NotEnrolled, NotPossibleNow, hash_secret
from devices.models import Device, EnrolmentLink, Kind, Zone
from zcc.ground import audit
from zcc.templatetags.times import stored_text

FOLDER = "/Mobile Devices"
PATH = "/.well-known/est"
MAX_NAME = 64  # it is the CN of the identity (RFC 5280, appendix A: ub-common-name)
_NOT_IN_A_NAME = re.compile(r"[/\\\x00-\x1f]")


def check_name(zone: Zone, text: str) -> str:
    """Return the name for a new mobile, trimmed. Raises InvalidNames with a sentence."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or _NOT_IN_A_NAME.search(name):
        raise InvalidNames("A mobile's name has 1 to 64 printable characters and no slash.")
    if Device.objects.filter(zone=zone, name=name).exists():
        raise InvalidNames(f"There is a device called {name} already. Choose another name.")
    return name


@transaction.atomic
def make_link(
    zone: Zone, name: str, *, folder: str, lifetime: timedelta, by: Any, now: datetime
) -> str:
    """Return the secret of a link by which a new mobile enrols. Raises InvalidNames."""
    row = EnrolmentLink(zone=zone, name=check_name(zone, name), folder=folder)
    return _made(row, lifetime=lifetime, by=by, now=now)


@transaction.atomic
def make_link_again(device: Device, *, lifetime: timedelta, by: Any, now: datetime) -> str:
    """
    Return the secret of a link by which a mobile gets another identity; earlier ones end.

    Raises NotPossibleNow.
    """
    if why_not := why_not_again(device):
        raise NotPossibleNow(why_not)
    device.enrolment_links.open(now).update(expires_at=now)
    row = EnrolmentLink(
        zone=device.zone, device=device, name=device.name[:MAX_NAME], folder=device.folder
    )
    return _made(row, lifetime=lifetime, by=by, now=now)


@transaction.atomic
def make_links_again(
    devices: Sequence[Device], *, lifetime: timedelta, by: Any, now: datetime
) -> list[str]:
    """
    Return the secret of a re-enrolment link for each of these mobiles; their earlier links end.

    Raises NotPossibleNow, and makes none, if one of them cannot be enrolled again.
    """
    for device in devices:
        if why_not := why_not_again(device):
            raise NotPossibleNow(why_not)
    EnrolmentLink.objects.open(now).filter(device__in=devices).update(expires_at=now)
    made = [secrets.token_urlsafe(32) for _ in devices]
    EnrolmentLink.objects.bulk_create(
        EnrolmentLink(
            zone_id=device.zone_id,
            device=device,
            name=device.name[:MAX_NAME],
            folder=device.folder,
            token_hash=hash_secret(secret),
            created_by=by,
            created_at=now,
            expires_at=now + lifetime,
        )
        for device, secret in zip(devices, made, strict=True)
    )
    ends = f"works once, until {stored_text(now + lifetime)}"
    audit.record("Re-enrolment link made", *devices, by=by, at=now, note=ends)
    return made


def why_not_again(device: Device) -> str:
    """Return why the device cannot be enrolled again by a link, nothing if it can."""
    if not device.is_mobile:
        return f"{device.name} is not a mobile device. It enrols with a registration key."
    if device.is_retired:
        return f"{device.name} is retired. Bring it back first."
    return ""


@transaction.atomic
def make_page(device: Device, *, by: Any, now: datetime) -> str:
    """
    Return the secret in the address of a mobile's end-user page; an earlier address ends.

    Raises NotPossibleNow.
    """
    if why_not := why_no_page(device):
        raise NotPossibleNow(why_not)
    secret = secrets.token_urlsafe(32)
    Device.objects.filter(pk=device.pk).update(page_hash=hash_secret(secret))
    audit.record("End-user page made", device, by=by, at=now)
    return secret


def why_no_page(device: Device) -> str:
    """Return why the device has no end-user page, nothing if it can have one."""
    if not device.is_mobile:
        return f"{device.name} is not a mobile device. Only those have an end-user page."
    return f"{device.name} is retired. Bring it back first." if device.is_retired else ""


def of_page(secret: str) -> Device | None:
    """Return the mobile whose end-user page has this secret in its address."""
    rows = Device.objects.filter(page_hash=hash_secret(secret), kind=Kind.MOBILE)
    return rows.select_related("zone").first()


@transaction.atomic
def end_page(device: Device, *, by: Any, now: datetime) -> bool:
    """Let the address of the mobile's end-user page lead nowhere; False if it has none."""
    if not Device.objects.filter(pk=device.pk, page_hash__isnull=False).update(page_hash=None):
        return False
    audit.record("End-user page ended", device, by=by, at=now)
    return True


@transaction.atomic
def withdraw_link(link: EnrolmentLink, *, by: Any, now: datetime) -> bool:
    """Let nobody use the link any more; False if it has been used meanwhile, or has ended."""
    if not EnrolmentLink.objects.open(now).filter(pk=link.pk).update(expires_at=now):
        return False
    what = "Re-enrolment link withdrawn" if link.device else "Enrolment link withdrawn"
    audit.record(what, link.device or link, by=by, at=now)
    return True


def _made(row: EnrolmentLink, *, lifetime: timedelta, by: Any, now: datetime) -> str:
    secret = secrets.token_urlsafe(32)
    row.token_hash, row.created_by = hash_secret(secret), by
    row.created_at, row.expires_at = now, now + lifetime
    row.save()
    what = "Re-enrolment link made" if row.device else "Enrolment link made"
    ends = f"works once, until {stored_text(row.expires_at)}"
    audit.record(what, row.device or row, by=by, at=now, note=ends)
    return secret


def address(server_url: str, secret: str, fingerprints: list[str]) -> str:
    """Return the link itself. What is secret stands behind the #, which no browser sends."""
    return f"{server_url}{PATH}#{'.'.join([secret, *fingerprints])}"


def find_link(secret: str, *, now: datetime) -> EnrolmentLink:
    """Return the link with this secret, used or not. Raises NotEnrolled if it is not in force."""
    rows = EnrolmentLink.objects.filter(token_hash=hash_secret(secret))
    row = rows.select_related("zone", "device").first()
    if row is None:
        raise NotEnrolled("This enrolment link is unknown. Ask an administrator for a new one.")
    if row.expires_at <= now:
        raise NotEnrolled("This enrolment link has expired. Ask an administrator for a new one.")
    return row


_NOT_ANY_MORE = (
    "This enrolment link has been used or withdrawn. Ask an administrator for a new one."
)


@transaction.atomic
def use_link(secret: str, key_hash: str, *, now: datetime) -> EnrolmentLink:
    """
    Spend the link on the request with this public key; its `device` is there afterwards.

    The same request may come again until the link expires. Raises NotEnrolled.
    """
    row = find_link(secret, now=now)
    is_first = row.used_at is None
    if not row.use(key_hash, at=now):
        raise NotEnrolled(_NOT_ANY_MORE)
    if row.device is None:
        row.device = _new_device(row, now=now)
        EnrolmentLink.objects.filter(pk=row.pk).update(device=row.device)
    if why_not := why_not_again(row.device):
        raise NotEnrolled(why_not)
    if is_first:
        audit.record("Enrolled", row.device, by=None, at=now, note="with an enrolment link")
    return row


def _new_device(row: EnrolmentLink, *, now: datetime) -> Device:
    try:
        with transaction.atomic():
            return Device.objects.create(
                zone=row.zone,
                name=row.name,
                kind=Kind.MOBILE,
                folder=row.folder,
                enrolled_at=now,
                last_contact_at=now,
            )
    except IntegrityError as error:
        raise NotEnrolled(
            f"There is a device called {row.name} by now. Ask an administrator for a new link."
        ) from error
