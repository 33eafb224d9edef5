"""The zone's CAs, one generation after the other: what each is, and what has become of its key."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import QuerySet
from django.urls import reverse

from certificates import key_ends
from certificates.models import CertificateAuthority, IdentityCA, KeyEnd, Operation
from certificates.models.authority import State as CAState
from certificates.models.operation import State
from certificates.wording import day_text
from devices.models import Zone
from zcc.templatetags.times import moment_text, planned_text

_WORDS = {
    CAState.FUTURE: ("wait", "hourglass-split", "Future certificate"),
    CAState.ACTIVE: ("ok", "check-circle-fill", "Active"),
    CAState.SUPERSEDED: ("ok", "intersect", "Still trusted"),
    CAState.RETIRED: ("mute", "archive", "Retired"),
    CAState.CANCELLED: ("mute", "slash-circle", "Canceled"),
}


@dataclass(frozen=True)
class KeyState:
    """What has become of a CA's private key, in a sentence or two."""

    family: str
    icon: str
    text: str
    more: str = ""


def key_state(ca: CertificateAuthority, *, now: datetime) -> KeyState:
    """Return where the key of a CA is and when it ends, or that it is destroyed."""
    if not ca.is_internal or ca.server is None:
        return KeyState("mute", "box-arrow-right", "Not in this zone", "It is the external CA's.")
    if ca.key_destroyed_at is not None:
        backups = "Copies in backups are not touched."
        text = f"Destroyed {moment_text(ca.key_destroyed_at)}"
        return KeyState("mute", "check-circle", text, backups if ca.retired_at else "")
    end = KeyEnd.objects.filter(authority=ca).first()
    if end is None:
        return KeyState("ok", "key", f"On {ca.server.name}, encrypted")
    if end.problem:
        more = f"{end.problem} It is tried again by itself."
        return KeyState("bad", "x-octagon-fill", "It could not be destroyed", more)
    if end.due_at > now:
        more = f"It is destroyed on {day_text(end.due_at)}, when all that it signed has expired."
        return KeyState("wait", "hourglass-split", f"Still on {ca.server.name}", more)
    if not ca.server.is_alive(now):
        more = f"{ca.server.name} does not answer. It destroys the key when it is back."
        return KeyState("warn", "clock-history", f"Still on {ca.server.name}", more)
    return KeyState("run", "arrow-repeat", f"{ca.server.name} destroys it now")


def identity_key_state(row: IdentityCA) -> KeyState:
    """Return where the key of an identity CA is, and what becomes of it."""
    if row.key_destroyed_at is not None:
        return KeyState("mute", "check-circle", f"Destroyed {moment_text(row.key_destroyed_at)}")
    if row.replaced_at is not None:
        return KeyState("mute", "key", f"On {row.server.name}, encrypted", "It signs no more.")
    more = "It goes with the update key. If it is lost, another identity CA is made by itself."
    return KeyState("ok", "key", f"On {row.server.name}, encrypted", more)


class Generation:
    """One CA of the zone, as an administrator wants to see it."""

    def __init__(self, ca: CertificateAuthority, *, now: datetime) -> None:
        self.ca, self.now = ca, now

    @property
    def look(self) -> tuple[str, str, str]:
        """Family, icon and word of its state."""
        if self.ca.state == CAState.ACTIVE and self.ca.is_expired(self.now):
            return ("bad", "x-octagon-fill", "Expired")
        return _WORDS[CAState(self.ca.state)]

    @cached_property
    def key(self) -> KeyState:
        return key_state(self.ca, now=self.now)

    @cached_property
    def made_by(self) -> Operation | None:
        """The operation that made it; the first CA came with the zone."""
        return Operation.objects.filter(guid=self.ca.guid).first()

    @property
    def was_rolled_back(self) -> bool:
        made_by = self.made_by
        return made_by is not None and made_by.state == State.ROLLED_BACK

    @property
    def why_still_trusted(self) -> str:
        """Why a CA that is not the active one is trusted."""
        if self.ca.state != CAState.SUPERSEDED:
            return ""
        if self.was_rolled_back:
            return "It was rolled back: devices that know only it are carried by a link."
        at = self._overlap.retires_at if self._overlap else None
        if at is not None:
            return f"Retires by itself on {planned_text(at)} if nobody needs it until then."
        if not self.ca.is_internal:  # nobody here signs a link in its name
            return "A device that knows only it comes in by the rescue port."
        return "A device that slept through the activation is carried by the link."

    @cached_property
    def _overlap(self) -> Operation | None:
        """The overlap with which it ends."""
        overlaps = Operation.objects.filter(zone=self.ca.zone_id, state=State.OVERLAP)
        newer = overlaps.filter(new_ca__generation__gt=self.ca.generation)
        return newer.order_by("new_ca__generation").first()

    @property
    def retire_url(self) -> str:
        """The dialog that retires it, nothing if none does."""
        if self.ca.state != CAState.SUPERSEDED:
            return ""
        if self.made_by is not None and self.was_rolled_back:  # it alone
            return reverse("certificates:retire_rolled_back_ca", args=[self.made_by.pk])
        if self._overlap is not None:
            return reverse("certificates:retire_old_ca", args=[self._overlap.pk])
        return ""

    @property
    def ended_by(self) -> Operation | None:
        return key_ends.operation_that_ended(self.ca) if self.ca.retired_at else None


def generations(zone: Zone, *, now: datetime) -> list[Generation]:
    """Return the zone's CAs, newest first; one that is about to be made has no certificate yet."""
    rows: QuerySet[CertificateAuthority] = CertificateAuthority.objects.filter(zone=zone)
    rows = rows.exclude(sha256="").select_related("zone", "server__heartbeat")
    return [Generation(ca, now=now) for ca in rows.order_by("-generation")]


_IDENTITY_WORDS = {
    CAState.FUTURE: ("wait", "hourglass-split", "Signs from the activation on"),
    CAState.ACTIVE: ("ok", "check-circle-fill", "Signs identities"),
    CAState.SUPERSEDED: ("ok", "intersect", "Kept for a rollback"),
}


class IdentitySigner:
    """One identity CA of the zone: no generation, and no device trusts it."""

    def __init__(self, row: IdentityCA, *, now: datetime) -> None:
        self.row, self.now = row, now

    @property
    def look(self) -> tuple[str, str, str]:
        """Family, icon and word of what it is good for now."""
        if self.row.replaced_at is not None:
            return ("mute", "archive", "Replaced")
        if self.row.expires_at is not None and self.row.expires_at <= self.now:
            return ("bad", "x-octagon-fill", "Expired")
        state = CAState(self.row.authority.state)
        return _IDENTITY_WORDS.get(state, ("mute", "archive", "Signs no more"))

    @property
    def is_of_use(self) -> bool:
        """Whether it signs, will sign, or would again after a rollback."""
        return self.row.replaced_at is None and self.row.authority.state in _IDENTITY_WORDS

    @cached_property
    def key(self) -> KeyState:
        return identity_key_state(self.row)


def identity_signers(zone: Zone, *, now: datetime) -> list[IdentitySigner]:
    """Return the identity CAs of the zone's external CAs, newest first."""
    rows = IdentityCA.objects.of_zone(zone).made().select_related("authority", "server")
    return [IdentitySigner(row, now=now) for row in rows.order_by("-pk")]
