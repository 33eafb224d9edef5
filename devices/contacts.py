"""
Devices are heard of: what a refresh tells of the device itself, and when the last one was.

One that brings something new, or that was asked for, is written at once. Of any other only the
time is, and not more often than each half minute; those may be gathered and written many at a time
(`write`).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from agent.roles import ROLES
from devices import check_ins
from devices.models import Device
from pki import names
from zcc.ground import here
from zcc.ground.wire import instant, text

MAX_TRUSTED = 64
SHA256 = re.compile("[0-9a-f]{64}")
# A last contact may be this old before a refresh with nothing new writes it again.
RESOLUTION = timedelta(seconds=30)
AT_ONCE = 500  # rows: those of one statement that reads


class Contact(NamedTuple):
    """A refresh with nothing new: of which device, when, and how far its clock was off."""

    device: int
    at: datetime
    clock_offset: timedelta | None


def record_contact(device: Device, report: Mapping[str, object], *, now: datetime) -> None:
    """
    Note what a refresh told of the device itself; write only what is new.

    A contact time alone is written at most every 30 s, so that a zone at rest stays at rest; but
    at once if the device was asked to refresh, for then somebody waits for it.
    """
    changed = news(device, report, now=now)
    if device.refresh_asked_at is not None:
        take_back_asking([device])
    if is_recent(device, now=now) and not changed:
        return
    changed |= {"last_contact_at": now, "last_full_refresh_at": now, "heard_by": _this_server()}
    changed |= check_in(device, now)
    clock = report.get("clock")
    if isinstance(clock, datetime):
        changed["clock_offset"] = clock - now
    Device.objects.filter(pk=device.pk).update(**changed)
    for name, value in changed.items():
        setattr(device, name, value)


def news(device: Device, report: Mapping[str, object], *, now: datetime) -> dict[str, object]:
    """Return what the report says of the device that its row does not."""
    facts = {
        "version": text(report, "version")[:32] or device.version,
        **names_reported(device, report),
        "trusted_fingerprints": _fingerprints(report.get("trust")),
        "trust_epoch": _epoch(report.get("epoch")),
        **_refusal(report, now=now),
        "reported_roles": _roles(report.get("roles")),
        "role_problem": text(report, "role_problem")[:400],
    }
    return {name: value for name, value in facts.items() if getattr(device, name) != value}


def take_back_asking(devices: Iterable[Device]) -> None:
    """These have refreshed, as they were asked to; whoever is asked again meanwhile stays so."""
    asked: dict[datetime | None, list[int]] = {}
    for device in devices:
        asked.setdefault(device.refresh_asked_at, []).append(device.pk)
    for at, chosen in asked.items():
        Device.objects.filter(pk__in=chosen, refresh_asked_at=at).update(refresh_asked_at=None)


def is_recent(device: Device, *, now: datetime) -> bool:
    """Whether the last refresh was written so lately that this one need not be."""
    if device.refresh_asked_at is not None:
        return False
    last = device.last_contact_at
    return bool(device.last_full_refresh_at and last and now - last < RESOLUTION)


def check_in(device: Device, now: datetime) -> dict[str, object]:
    """What the contact adds to the record of hours: something once an hour, else nothing."""
    record = check_ins.added(device.check_ins, now)
    return {} if record is None else {"check_ins": record}


def write(contacts: Iterable[Contact]) -> None:
    """Note these refreshes with nothing new, all or none; none puts a later one back."""
    ordered = sorted(contacts)  # so that two servers that write wait, and do not block each other
    with transaction.atomic():
        for begin in range(0, len(ordered), AT_ONCE):
            _write(ordered[begin : begin + AT_ONCE])


_COLUMNS = ("last_contact_at", "last_full_refresh_at", "clock_offset", "check_ins", "heard_by")


def _write(contacts: list[Contact]) -> None:
    chosen = Device.objects.filter(pk__in=[contact.device for contact in contacts])
    known = {device.pk: device for device in chosen.only("clock_offset", "check_ins")}
    rows, heard_by = [], _this_server()
    for contact in contacts:
        if (device := known.get(contact.device)) is None:  # deleted meanwhile
            continue
        record = check_ins.added(device.check_ins, contact.at) or device.check_ins
        offset = device.clock_offset if contact.clock_offset is None else contact.clock_offset
        values = _stored(contact.at, contact.at, offset, record, heard_by)
        rows.append([*values, device.pk, values[0]])
    sets = ", ".join(f"{column} = %s" for column in _COLUMNS)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {Device._meta.db_table} SET {sets}"
            " WHERE id = %s AND (last_contact_at IS NULL OR last_contact_at < %s)",
            rows,
        )


def _stored(*values: object) -> list[Any]:
    """The values of the columns as the database takes them."""
    columns = {field.name: field for field in Device._meta.concrete_fields}
    return [
        columns[name].get_db_prep_save(value, connection)
        for name, value in zip(_COLUMNS, values, strict=True)
    ]


def _this_server() -> str:
    """The name of the server that answers: a device that hears one alone may be kept from news."""
    try:
        return here.server_name()
    except here.NoServer:
        return ""


def names_reported(device: Device, report: Mapping[str, object]) -> dict[str, object]:
    """
    Return what the report says of the device's addresses and DNS name.

    A server whose certificate names them keeps those of its record: no word of its own gives it a
    certificate for another name. What it says is kept beside them, for an administrator.
    """
    addresses = _addresses(report)
    if not device.is_tls_server:
        known = addresses or list(device.addresses)
        return {"addresses": known, "reported_addresses": None, "reported_dns_name": ""}
    facts: dict[str, object] = {}
    if addresses:
        is_known = set(addresses) == set(device.addresses)
        facts["reported_addresses"] = None if is_known else addresses
    if name := _dns_name(report):
        facts["reported_dns_name"] = "" if name == device.dns_name else name
    return facts


def _addresses(report: Mapping[str, object]) -> list[str]:
    """The reported addresses; none if one of them is none."""
    value = report.get("addresses")
    try:
        return [names.check_ip(str(item)) for item in value[:16]] if isinstance(value, list) else []
    except ValueError:
        return []


def _dns_name(report: Mapping[str, object]) -> str:
    try:
        return names.check_dns_name(text(report, "dns_name"))
    except ValueError:
        return ""


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
