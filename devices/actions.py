"""What happens to devices: they enrol, refresh, and are given names."""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

import agent
from agent.roles import ROLES
from devices import contacts, folders
from devices.models import Device, Heartbeat, Kind, RegistrationKey, Zone
from pki import names
from zcc.ground import audit
from zcc.ground.wire import text
from zcc.templatetags.numbers import count
from zcc.templatetags.times import stored_text

MAX_ADDITIONAL_NAMES = 50


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


@transaction.atomic
def create_registration_key(
    zone: Zone,
    *,
    name: str,
    now: datetime,
    folder: str = "/",
    uses: int | None = None,
    lifetime: timedelta | None = None,
    replaces: Device | None = None,
    by: Any = None,
) -> str:
    """
    Make a registration key and return it; it cannot be shown again.

    With it a device may take the place of the one that it `replaces`, even if that is in contact.
    """
    key = secrets.token_urlsafe(24)
    folders.ensure(zone, folder, by=by, now=now)
    row = RegistrationKey.objects.create(
        zone=zone,
        name=name,
        key_hash=hash_secret(key),
        folder=folder,
        created_at=now,
        expires_at=now + lifetime if lifetime else None,
        uses_left=uses,
        replaces=replaces,
    )
    limits = [f"{count(uses, 'device')}" if uses else "any number of devices"]
    limits += [f"until {stored_text(row.expires_at)}"] if row.expires_at else []
    limits += [f"in place of {replaces.name}"] if replaces else []
    audit.record("Registration key created", row, by=by, at=now, after=", ".join(limits))
    return key


@transaction.atomic
def revoke_registration_key(key: RegistrationKey, *, by: Any, now: datetime) -> None:
    """Let nobody join with this key any more; who has joined stays."""
    audit.record("Registration key revoked", key, by=by, at=now)
    key.delete()


@transaction.atomic
def enrol(key: str, enrolment: Enrolment, *, now: datetime) -> tuple[Device, str]:
    """
    Add a device that knows a registration key; return it and its token.

    A device that enrols again under its name keeps its row and gets a new token.
    Raises NotEnrolled when the key does not fit, or the name belongs to a Primary Server, a retired
    device, or one in contact that the key does not replace.
    """
    registration = _spend(key, now=now)
    token = secrets.token_urlsafe(32)
    known = Device.objects.filter(zone=registration.zone, name=enrolment.name).first()
    if known is not None:
        _refuse_to_replace(known, registration, now=now)
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
    folders.ensure(registration.zone, device.folder, by=None, now=now)
    device.last_contact_at = now
    device.trusted_fingerprints = []  # whatever was there before may have trusted others
    device.token_hash = hash_secret(token)
    device.reported_roles, device.role_problem = None, ""
    device.reported_dns_name, device.reported_addresses = "", None
    device.save()
    RegistrationKey.objects.filter(pk=registration.pk).update(last_device=device)
    what = "Enrolled" if known is None else "Enrolled again"
    note = f"with the registration key {registration.name}"
    audit.record(what, device, by=None, at=now, after=device.folder_path, note=note)
    return device, token


def _refuse_to_replace(known: Device, key: RegistrationKey, *, now: datetime) -> None:
    """A registration key lets nobody take the place of a server, or bring a device back."""
    if known.is_primary_server:
        raise NotEnrolled(f"{known.name} is a Primary Server. Enrol under another name.")
    if known.is_retired:
        raise NotEnrolled(f"{known.name} is retired. An administrator can bring it back.")
    if key.replaces_id != known.pk and was_just_heard(known, now=now):
        raise NotEnrolled(
            f"{known.name} is in contact. If this is another device, enrol it under another name. "
            f"If {known.name} was installed again, an administrator makes the lines with Enrol "
            f"device and ticks that they replace {known.name}; or stop its agent, and wait until "
            "it has missed two refreshes."
        )


def was_just_heard(device: Device, *, now: datetime) -> bool:
    """Whether an agent runs under this name: it has not missed two refreshes."""
    seen = device.last_full_refresh_at
    silence = 2 * device.effective_refresh_interval() + contacts.RESOLUTION
    return seen is not None and now - seen < silence


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


def ask_refresh(devices: QuerySet[Device], *, now: datetime) -> int:
    """
    Ask devices to refresh now; return how many are asked.

    An agent that runs does within seconds, any other as soon as it is in contact. Primary Servers
    are not asked: their workers see what is new by themselves.
    """
    asked = devices.active().exclude_primary_servers()  # type: ignore[attr-defined]
    return int(asked.update(refresh_asked_at=now))


@transaction.atomic
def refresh_device(device: Device, *, by: Any, now: datetime) -> bool:
    """The quick task `Refresh Device`; return whether it is asked."""
    if not ask_refresh(Device.objects.filter(pk=device.pk), now=now):
        return False
    audit.record("Refresh Device", device, by=by, at=now)
    return True


@transaction.atomic
def set_additional_dns_names(
    device: Device, wanted: Iterable[str], *, by: Any, now: datetime
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
    before, after = audit.listed(device.additional_dns_names), audit.listed(chosen)
    if before != after:
        Device.objects.filter(pk=device.pk).update(additional_dns_names=chosen)
        audit.record("Additional DNS names", device, by=by, at=now, before=before, after=after)
    device.additional_dns_names = chosen
    return chosen


@transaction.atomic
def use_reported(device: Device, *, shown: str, by: Any, now: datetime) -> None:
    """
    Take over what the server reports of its address and DNS name, as the user was `shown` it.

    Raises NotPossibleNow if it reports nothing else, or no longer that; InvalidNames if it belongs
    to another server.
    """
    row = Device.objects.select_for_update().get(pk=device.pk)
    if not row.reports_other:
        raise NotPossibleNow(f"{row.name} reports no other address or DNS name now.")
    if row.reports_other != shown:
        raise NotPossibleNow(f"Meanwhile {row.name} reports {row.reports_other}. Look again.")
    before = [row.dns_name, *row.addresses]
    addresses = row.reported_addresses or row.addresses
    dns_name = row.reported_dns_name or row.dns_name
    refuse_taken(row, [dns_name], addresses)
    row.dns_name, row.addresses = dns_name, addresses
    row.reported_dns_name, row.reported_addresses = "", None
    row.save(
        update_fields=["dns_name", "addresses", "reported_dns_name", "reported_addresses"],
    )
    after = audit.listed([dns_name, *addresses])
    audit.record(
        "Use what it reports", row, by=by, at=now, before=audit.listed(before), after=after
    )


def why_not_test(device: Device) -> str:
    """Return why the device cannot be a test device, nothing if it can."""
    if device.is_primary_server or device.kind == Kind.MOBILE:
        return f"A {device.get_kind_display()} takes part in no rehearsal: no agent runs on it."
    return ""


@transaction.atomic
def set_test_device(device: Device, *, is_test: bool, by: Any, now: datetime) -> None:
    """Let the device take part in rehearsals, or no more. Raises NotPossibleNow."""
    reason = why_not_test(device)
    if is_test and reason:
        raise NotPossibleNow(reason)
    if Device.objects.filter(pk=device.pk, is_test=not is_test).update(is_test=is_test):
        audit.record("Test device", device, by=by, at=now, after="yes" if is_test else "no")
    device.is_test = is_test


def refuse_taken(device: Device, dns_names: list[str], addresses: list[str]) -> None:
    """Raise InvalidNames if one of these stands in the certificate of another server."""
    servers = Device.objects.filter(zone=device.zone).active().tls_servers()
    others = servers.exclude(pk=device.pk).order_by("name")
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
    server: Device,
    *,
    tick_at: datetime | None,
    skew: timedelta,
    trusted: list[str],
    now: datetime,
    report: Mapping[str, object] | None = None,
) -> None:
    """
    Record that a Primary Server's worker is alive, what it trusts, how far its clock is off.

    The report says its addresses and its DNS name, as that of an agent does.
    """
    Heartbeat.objects.update_or_create(
        server=server, defaults={"at": now, "tick_at": tick_at, "skew": skew}
    )
    changed: dict[str, object] = {}
    if server.last_contact_at is None or now - server.last_contact_at > contacts.RESOLUTION:
        changed |= {"last_contact_at": now, **contacts.check_in(server, now)}
    if server.trusted_fingerprints != sorted(trusted):
        changed["trusted_fingerprints"] = sorted(trusted)
    if server.version != agent.VERSION:
        changed["version"] = agent.VERSION
    said = contacts.names_reported(server, report or {})
    changed |= {name: value for name, value in said.items() if getattr(server, name) != value}
    if changed:
        Device.objects.filter(pk=server.pk).update(**changed)
