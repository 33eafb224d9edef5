"""
Mobiles that cannot come back by themselves, and a re-enrolment link for each of them at once.

After an Immediate operation their identities have ended with the CA, and the handshake refuses
them; after a Strict one those end that had not taken the new CA; and one that slept until the old
CA was retired refuses every server. A link helps all of them; links are shown once, so they come
as one file.
"""

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from certificates.cut_off import that_trust_none
from certificates.identities import strict_activation
from certificates.models import MobileIdentity
from certificates.models.identity import State
from devices import handing_over, mobiles
from devices.models import Device, EnrolmentLink, Kind, Zone
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import APPLIED_STATES
from systemupdates.spreadsheet import safe
from zcc.ground import counting

# How many links are made at once: their file travels in the answer, and each is in the audit log.
MOST = 1000
COLUMNS = ("Mobile", "Re-enrolment link", "Good until (UTC)")


class Nobody(Exception):
    """There is no mobile that a link would be made for; the message is for the user."""


def to_enrol(zone: Zone, *, now: datetime) -> QuerySet[Device]:
    """Return the mobiles that cannot call any more, and are not just getting an identity."""
    good = MobileIdentity.objects.accepted().filter(device=OuterRef("pk"), expires_at__gt=now)
    operation = strict_activation(zone)
    if operation is not None and operation.new_ca is not None:
        ready = DeviceUpdate.objects.filter(device=OuterRef("device"), state__in=APPLIED_STATES)
        is_new = Q(authority__generation__gte=operation.new_ca.generation)
        good = good.filter(is_new | Q(Exists(ready.filter(update=operation.update_id))))
    coming = MobileIdentity.objects.filter(state=State.REQUESTED)
    trusting_none = that_trust_none(zone).filter(kind=Kind.MOBILE)
    rows = Device.objects.filter(zone=zone, kind=Kind.MOBILE, retired_at=None)
    rows = rows.filter(~Exists(good) | Q(pk__in=trusting_none.values("pk")))
    return rows.exclude(pk__in=coming.values("device")).select_related("zone")


def without_link(zone: Zone, *, now: datetime) -> QuerySet[Device]:
    """Return those of them for which nobody has made a link that can still be used."""
    return to_enrol(zone, now=now).exclude(pk__in=_open_links(now).values("device"))


def _open_links(now: datetime) -> QuerySet[EnrolmentLink]:
    return EnrolmentLink.objects.open(now).exclude(device=None)


@dataclass(frozen=True)
class Reason:
    """Why one of them cannot call, and its link that nobody has used yet, if there is one."""

    device: Device
    text: str
    link: EnrolmentLink | None


def reasons(devices: list[Device], *, now: datetime) -> list[Reason]:
    """Return why each of the mobiles, of those in `to_enrol`, needs a link."""
    rows = MobileIdentity.objects.accepted().filter(device__in=devices).order_by("pk")
    newest = {row.device_id: row for row in rows.only("device_id", "expires_at")}
    open_links = _open_links(now).filter(device__in=devices).order_by("pk")
    links = {link.device_id: link for link in open_links}
    return [
        Reason(device, _reason(device, newest.get(device.pk), now), links.get(device.pk))
        for device in devices
    ]


def why(device: Device, *, now: datetime) -> str:
    """Return why this mobile needs a link; nothing as long as it needs none."""
    found = list(to_enrol(device.zone, now=now).filter(pk=device.pk))
    return reasons(found, now=now)[0].text if found else ""


def _reason(device: Device, identity: MobileIdentity | None, now: datetime) -> str:
    if identity is None or identity.expires_at is None:
        return "It has no identity."
    if identity.expires_at <= now:
        return "Its identity has expired."
    if strict_activation(device.zone) is None:
        return "It was away until the CA that it trusts was retired."
    return "It was away while the CA was replaced, and that operation was Strict."


@dataclass(frozen=True)
class Numbers:
    """How many mobiles need a link, and how many of them have one that is not used yet."""

    all: int = 0
    with_link: int = 0

    @property
    def without_link(self) -> int:
        return self.all - self.with_link


def numbers(zone: Zone, *, now: datetime) -> Numbers:
    """Count them; in a large zone it is kept for a moment."""

    def count() -> dict[str, int]:
        found = to_enrol(zone, now=now).count()
        others = Device.objects.filter(zone=zone, kind=Kind.MOBILE).count() - found
        without = without_link(zone, now=now).count() if found else 0
        return {"all": found, "with_link": found - without, "others": others}

    found = counting.kept(("mobiles to enrol", zone.guid), count)
    return Numbers(found["all"], found["with_link"])


@dataclass(frozen=True)
class Made:
    """A link that was just made."""

    device: Device
    link: str
    expires_at: datetime


@transaction.atomic
def make_links(
    zone: Zone, *, days: int, also_with_link: bool, by: Any, now: datetime
) -> list[Made]:
    """
    Make a link for each of them that has none yet, MOST at a time.

    With `also_with_link` then for those that have one, the oldest first, so that a repetition goes
    on with others. Raises Nobody.
    """
    Zone.objects.select_for_update().get(pk=zone.pk)  # two clicks at once make no link twice
    devices = list(without_link(zone, now=now).order_by("name")[:MOST])
    if also_with_link:
        found = _open_links(now).filter(device__in=to_enrol(zone, now=now))
        rows = found.select_related("device__zone").order_by("created_at", "pk")
        devices += [link.device for link in rows if link.device][: MOST - len(devices)]
    devices = list(dict.fromkeys(devices))
    if not devices:
        raise Nobody("No mobile needs a link, or each that does has one already.")
    lifetime = timedelta(days=days)
    secrets = mobiles.make_links_again(devices, lifetime=lifetime, by=by, now=now)
    links = handing_over.links(secrets)
    pairs = zip(devices, links, strict=True)
    return [Made(device, link, now + lifetime) for device, link in pairs]


def as_csv(made: list[Made]) -> bytes:
    """Return the links as a file for a spreadsheet, or for whatever sends them out."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for one in made:
        until = one.expires_at.isoformat(timespec="seconds")
        writer.writerow([safe(one.device.name), one.link, until])
    return file.getvalue().encode()
