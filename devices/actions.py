"""What happens to devices: they enrol, refresh, and are given names."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

import agent
from agent.roles import ROLES
from devices import check_ins, folders
from devices.models import Device, Heartbeat, Kind, RegistrationKey, Zone
from pki import names
from zcc.ground.wire import instant, text

MAX_ADDITIONAL_NAMES = 50
MAX_TRUSTED = 64
SHA256 = re.compile("[0-9a-f]{64}")
# A last contact may be this old before a refresh with nothing new writes it again.
CONTACT_RESOLUTION = timedelta(seconds=30)


class NotEnrolled(Exception):
    """The device may not join; the message is for whoever runs the agent."""


class NotPossibleNow(Exception):
    """The device is not in a state in which this can be done; the message is for the user."""


class InvalidNames(Exception):
    """The DNS names do not fit; the message is for the user."""


@dataclass(frozen=True)
class Enrolment:
    """What an agent says of its device when it joins."""

    name: str
    kind: str
    dns_name: str
    addresses: list[str]
    roles: list[str]
    version: str


def hash_secret(secret: str) -> str:
    """Return what is stored of a token or key: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_registration_key(
    zone: Zone,
    *,
    name: str,
    now: datetime,
    folder: str = "/",
    uses: int | None = None,
    lifetime: timedelta | None = None,
) -> str:
    """Make a registration key and return it; it cannot be shown again."""
    key = secrets.token_urlsafe(24)
    folders.ensure(zone, folder)
    RegistrationKey.objects.create(
        zone=zone,
        name=name,
        key_hash=hash_secret(key),
        folder=folder,
        created_at=now,
        expires_at=now + lifetime if lifetime else None,
        uses_left=uses,
    )
    return key


@transaction.atomic
def enrol(key: str, enrolment: Enrolment, *, now: datetime) -> tuple[Device, str]:
    """
    Add a device that knows a registration key; return it and its token.

    A device that enrols again under its name keeps its row and gets a new token.
    Raises NotEnrolled when the key does not fit, or the name belongs to a Primary Server, a retired
    device, or a Satellite that is in contact.
    """
    registration = _spend(key, now=now)
    token = secrets.token_urlsafe(32)
    known = Device.objects.filter(zone=registration.zone, name=enrolment.name).first()
    if known is not None:
        _refuse_to_replace(known, now=now)
    device = known or Device(zone=registration.zone, name=enrolment.name, enrolled_at=now)
    if "authentication" in enrolment.roles:
        _refuse_taken_by_others(device, enrolment)
    device.kind = enrolment.kind
    device.dns_name = enrolment.dns_name
    device.addresses = enrolment.addresses
    device.is_content_satellite = "content" in enrolment.roles
    device.is_authentication_satellite = "authentication" in enrolment.roles
    device.version = enrolment.version
    wanted = registration.folder if known is None else device.folder
    device.folder = folders.place_for(device, wanted)
    folders.ensure(registration.zone, device.folder)
    device.last_contact_at = now
    device.trusted_fingerprints = []  # whatever was there before may have trusted others
    device.token_hash = hash_secret(token)
    device.reported_roles, device.role_problem = None, ""
    device.save()
    return device, token


def _refuse_to_replace(known: Device, *, now: datetime) -> None:
    """A registration key lets nobody take the place of a server, or bring a device back."""
    if known.is_primary_server:
        raise NotEnrolled(f"{known.name} is a Primary Server. Enrol under another name.")
    if known.is_retired:
        raise NotEnrolled(f"{known.name} is retired. An administrator can bring it back.")
    seen = known.last_full_refresh_at
    silence = 2 * known.effective_refresh_interval() + CONTACT_RESOLUTION
    if known.is_satellite and seen is not None and now - seen < silence:
        raise NotEnrolled(
            f"{known.name} is a Satellite and in contact. Stop its agent first and wait until it "
            "has missed two refreshes, or enrol under another name."
        )


def _refuse_taken_by_others(device: Device, enrolment: Enrolment) -> None:
    """A Satellite gets no certificate for the name or the address of another server."""
    try:
        refuse_taken(device, [enrolment.dns_name], enrolment.addresses)
    except InvalidNames as error:
        raise NotEnrolled(str(error)) from error


def _spend(key: str, *, now: datetime) -> RegistrationKey:
    """Use the registration key once, or raise NotEnrolled."""
    in_force = Q(expires_at=None) | Q(expires_at__gt=now)
    registration = RegistrationKey.objects.filter(in_force, key_hash=hash_secret(key)).first()
    if registration is None:
        raise NotEnrolled("This registration key is unknown or has expired. Ask for a new one.")
    if registration.uses_left is not None:
        left = RegistrationKey.objects.filter(pk=registration.pk, uses_left__gt=0)
        if not left.update(uses_left=F("uses_left") - 1):
            raise NotEnrolled("This registration key has been used up. Ask for a new one.")
    return registration


def check_enrolment(fields: Mapping[str, object]) -> Enrolment:
    """Turn what an agent sent into an Enrolment, or raise NotEnrolled with what is wrong."""
    kind = str(fields.get("kind", ""))
    if kind not in (Kind.SERVER, Kind.WORKSTATION):
        raise NotEnrolled("The kind of a device is server or workstation.")
    name = str(fields.get("name", "")).strip()
    if not 1 <= len(name) <= 253 or not name.isprintable():
        raise NotEnrolled("A device name has 1 to 253 printable characters.")
    try:
        dns_name = names.check_dns_name(str(fields.get("dns_name") or name))
        addresses = [names.check_ip(str(item)) for item in _list(fields, "addresses")]
    except ValueError as error:
        raise NotEnrolled(str(error)) from error
    roles = [str(role) for role in _list(fields, "roles")]
    if unknown := set(roles) - set(ROLES):
        raise NotEnrolled(f"There is no Satellite role {sorted(unknown)[0]!r}.")
    return Enrolment(name, kind, dns_name, addresses, roles, text(fields, "version")[:32])


def _list(fields: Mapping[str, object], key: str) -> list[object]:
    value = fields.get(key) or []
    if not isinstance(value, list) or len(value) > 16:
        raise NotEnrolled(f"{key} is a list of at most 16.")
    return value


def record_contact(device: Device, report: Mapping[str, object], *, now: datetime) -> None:
    """
    Note what a refresh told of the device itself; write only what is new.

    A contact time alone is written at most every 30 s, so that a zone at rest stays at rest.
    """
    clock = report.get("clock")
    facts = {
        "version": text(report, "version")[:32] or device.version,
        "addresses": _addresses(device, report),
        "trusted_fingerprints": _fingerprints(report.get("trust")),
        "trust_epoch": _epoch(report.get("epoch")),
        **_refusal(report, now=now),
        "reported_roles": _roles(report.get("roles")),
        "role_problem": text(report, "role_problem")[:400],
    }
    changed = {name: value for name, value in facts.items() if getattr(device, name) != value}
    if device.refresh_asked_at is not None:  # not what is asked for meanwhile
        asked = Device.objects.filter(pk=device.pk, refresh_asked_at=device.refresh_asked_at)
        asked.update(refresh_asked_at=None)
    recent = (
        device.last_full_refresh_at
        and device.last_contact_at
        and (now - device.last_contact_at < CONTACT_RESOLUTION)
    )
    if recent and not changed:
        return
    changed |= {"last_contact_at": now, "last_full_refresh_at": now, **_check_in(device, now)}
    if isinstance(clock, datetime):
        changed["clock_offset"] = clock - now
    Device.objects.filter(pk=device.pk).update(**changed)
    for name, value in changed.items():
        setattr(device, name, value)


def retire(device: Device, *, now: datetime) -> None:
    """Take the device out of every count and operation; its calls are refused. NotPossibleNow."""
    if why_not := why_not_retired(device):
        raise NotPossibleNow(why_not)
    Device.objects.filter(pk=device.pk, retired_at=None).update(retired_at=now)


def why_not_retired(device: Device) -> str:
    """Return why the device cannot be retired, nothing if it can."""
    if device.is_retired:
        return f"{device.name} is retired already."
    if device.is_primary_server:
        return f"{device.name} is a Primary Server: use Retire on its own page."
    return ""


def bring_back(device: Device, *, now: datetime) -> None:
    """Let a retired device count again; it is told what it missed. Raises NotPossibleNow."""
    if why_not := why_not_brought_back(device):
        raise NotPossibleNow(why_not)
    if device.is_authentication_satellite:
        try:
            refuse_taken(device, [device.dns_name, *device.additional_dns_names], device.addresses)
        except InvalidNames as error:
            raise NotPossibleNow(str(error)) from error
    Device.objects.filter(pk=device.pk).update(retired_at=None)


def why_not_brought_back(device: Device) -> str:
    """Return why the device cannot be brought back, nothing if it can."""
    return "" if device.is_retired else f"{device.name} is not retired."


def ask_refresh(devices: QuerySet[Device], *, now: datetime) -> int:
    """
    Ask devices to refresh now; return how many are asked.

    An agent that runs does within seconds, any other as soon as it is in contact. Primary Servers
    are not asked: their workers see what is new by themselves.
    """
    asked = devices.active().exclude_primary_servers()  # type: ignore[attr-defined]
    return int(asked.update(refresh_asked_at=now))


def _check_in(device: Device, now: datetime) -> dict[str, object]:
    """What the contact adds to the record of hours: something once an hour, else nothing."""
    record = check_ins.added(device.check_ins, now)
    return {} if record is None else {"check_ins": record}


def _addresses(device: Device, report: Mapping[str, object]) -> list[str]:
    """The reported addresses; a server whose certificate names them keeps those of its record."""
    value, known = report.get("addresses"), list(device.addresses)
    if device.is_authentication_satellite or not isinstance(value, list) or not value:
        return known
    try:
        return [names.check_ip(str(item)) for item in value[:16]]
    except ValueError:
        return known


def _fingerprints(value: object) -> list[str]:
    found = value if isinstance(value, list) else []
    return sorted(str(item) for item in found[:MAX_TRUSTED] if SHA256.fullmatch(str(item)))


def _refusal(report: Mapping[str, object], *, now: datetime) -> dict[str, object]:
    """What the device says that it refused from a server; nothing is the usual case."""
    told = report.get("refusal")
    if not isinstance(told, dict) or not (reason := text(told, "reason")[:400]):
        return {}
    at = instant(told, "at")
    return {"refused": reason, "refused_at": min(at, now) if at else now}


def _roles(value: object) -> list[str] | None:
    """The Satellite roles that an agent has; None from one that cannot be given any."""
    return [role for role in ROLES if role in value] if isinstance(value, list) else None


def _epoch(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**62 else 0


@transaction.atomic
def set_additional_dns_names(
    device: Device, wanted: Iterable[str], *, by: object, now: datetime
) -> list[str]:
    """
    Give the device these additional DNS names and no others; return them normalised.

    Raises InvalidNames for one that is no host name, is doubled, or belongs to another device.
    """
    chosen: list[str] = []
    for given in wanted:
        try:
            name = names.check_dns_name(given)
        except ValueError as error:
            raise InvalidNames(str(error)) from error
        if name not in chosen and name != device.dns_name:
            chosen.append(name)
    if len(chosen) > MAX_ADDITIONAL_NAMES:
        raise InvalidNames(
            f"A device can have at most {MAX_ADDITIONAL_NAMES} additional DNS names."
        )
    refuse_taken(device, chosen, [])
    Device.objects.filter(pk=device.pk).update(additional_dns_names=chosen)
    device.additional_dns_names = chosen
    return chosen


def why_not_test(device: Device) -> str:
    """Return why the device cannot be a test device, nothing if it can."""
    if device.is_primary_server or device.kind == Kind.MOBILE:
        return f"A {device.get_kind_display()} takes part in no rehearsal: no agent runs on it."
    return ""


def set_test_device(device: Device, *, is_test: bool) -> None:
    """Let the device take part in rehearsals, or no more. Raises NotPossibleNow."""
    reason = why_not_test(device)
    if is_test and reason:
        raise NotPossibleNow(reason)
    Device.objects.filter(pk=device.pk).update(is_test=is_test)
    device.is_test = is_test


def refuse_taken(device: Device, dns_names: list[str], addresses: list[str]) -> None:
    """Raise InvalidNames if one of these stands in the certificate of another server."""
    others = Device.objects.filter(zone=device.zone).exclude(pk=device.pk).active().tls_servers()
    for other in others.only("name", "dns_name", "additional_dns_names", "addresses"):
        for name in dns_names:
            if name in {other.dns_name, *other.additional_dns_names}:
                raise InvalidNames(
                    f"{name} belongs to {other.name}. A DNS name belongs to one server only."
                )
        for address in addresses:
            if address in other.addresses:
                raise InvalidNames(
                    f"{address} belongs to {other.name}. An address belongs to one server only."
                )


def beat(
    server: Device, *, tick_at: datetime | None, skew: timedelta, trusted: list[str], now: datetime
) -> None:
    """Record that a Primary Server's worker is alive, what it trusts, how far its clock is off."""
    Heartbeat.objects.update_or_create(
        server=server, defaults={"at": now, "tick_at": tick_at, "skew": skew}
    )
    changed: dict[str, object] = {}
    if server.last_contact_at is None or now - server.last_contact_at > CONTACT_RESOLUTION:
        changed |= {"last_contact_at": now, **_check_in(server, now)}
    if server.trusted_fingerprints != sorted(trusted):
        changed["trusted_fingerprints"] = sorted(trusted)
    if server.version != agent.VERSION:
        changed["version"] = agent.VERSION
    if changed:
        Device.objects.filter(pk=server.pk).update(**changed)
