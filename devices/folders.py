"""
Folders: made, renamed, deleted, and what is put into them.

A device's row holds the path of its folder, so renaming one is one statement for each table. Every
change takes the zone's row first: no device is put into a folder that is being deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet, Value
from django.db.models.functions import Concat, Length, Substr

from devices.listing import query_of
from devices.models import (
    LONGEST_PATH,
    ROOT_OF,
    ROOTS,
    TOP,
    Device,
    Folder,
    Kind,
    RegistrationKey,
    Schedule,
    Zone,
    in_order,
    schedule_of,
)
from zcc.ground import audit
from zcc.templatetags.numbers import count

LONGEST_NAME = 60


class NotPossible(Exception):
    """It cannot be done to this folder; the message is for the user."""


@dataclass(frozen=True)
class Row:
    """A folder as the page shows it."""

    folder: Folder
    number: int  # of devices directly in it
    total: int  # with those of the folders in it: what its link shows
    schedule: Schedule

    @property
    def query(self) -> str:
        """What the address of the devices list says when it shows this folder."""
        return query_of(self.folder.path)

    @property
    def is_overridden(self) -> bool:
        return self.folder.refresh_interval is not None


def ensure_roots(zone: Zone) -> None:
    """Make the three folders of the zone, if this is the first time that anybody looks at them."""
    if zone.folders.filter(path__in=ROOTS).count() < len(ROOTS):
        roots = [Folder(zone=zone, path=path) for path in ROOTS]
        Folder.objects.bulk_create(roots, ignore_conflicts=True)


def tree(zone: Zone) -> list[Row]:
    """Return every folder, each before those in it, with what it holds and goes by."""
    ensure_roots(zone)
    folders = list(zone.folders.all())
    numbers = _numbers(zone)
    intervals = {row.path: row.refresh_interval for row in folders if row.refresh_interval}
    known = {row.path: row for row in folders}
    return [
        Row(
            known[path],
            numbers.get(path, 0),
            _total(path, numbers),
            schedule_of(path, zone, intervals),
        )
        for path in in_order(known)
    ]


def _total(path: str, numbers: dict[str, int]) -> int:
    inside = f"{path}/"
    return sum(n for place, n in numbers.items() if place == path or place.startswith(inside))


def _numbers(zone: Zone) -> dict[str, int]:
    """The number of devices directly in each folder, from one query; the retired left out."""
    numbers: dict[str, int] = {}
    rows = Device.objects.filter(zone=zone).active().values_list("folder", "kind")
    for path, kind, number in rows.annotate(Count("pk")).order_by():
        place = ROOT_OF[kind] if path == TOP else path
        numbers[place] = numbers.get(place, 0) + number
    return numbers


def check_name(name: str) -> str:
    """Return the name of a folder without spaces around it, or raise NotPossible."""
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or "/" in name or not name.isprintable():
        raise NotPossible(
            f"A folder's name has 1 to {LONGEST_NAME} printable characters and no slash."
        )
    return name


def check_path(path: str) -> str:
    """Return `path` as folders are known, "/" for the one of a device's kind; or NotPossible."""
    first, *others = [part.strip() for part in path.split("/") if part.strip()] or [""]
    root = {known.casefold(): known for known in ROOTS}.get(f"/{first}".casefold())
    if not first:
        return TOP
    if root is None:
        raise NotPossible(
            "A folder is one of Servers, Workstations and Mobile Devices, or below: "
            "/Workstations/Oslo."
        )
    found = "/".join([root, *(check_name(part) for part in others)])
    if len(found) > LONGEST_PATH:
        raise NotPossible(f"A folder's path has at most {LONGEST_PATH} characters.")
    return found


def check_place(path: str, kind: str) -> str:
    """Return the folder `path` for a new device of this kind, or raise NotPossible."""
    found, root = check_path(path), ROOT_OF[kind]
    if found != TOP and found != root and not found.startswith(f"{root}/"):
        raise NotPossible(
            f"{found} is not for a device of the kind {Kind(kind).label}: its folders are {root} "
            "and those below it."
        )
    return found


@transaction.atomic
def create(parent: Folder, name: str, *, by: Any, now: datetime) -> Folder:
    """Make a folder in `parent`. Raises NotPossible, when there is one of that name, too."""
    zone = _locked(parent)
    path = check_path(f"{parent.path}/{check_name(name)}")
    _refuse_taken(zone, path)
    folder = Folder.objects.create(zone=zone, path=path)
    audit.record("Folder created", folder, by=by, at=now)
    return folder


@transaction.atomic
def ensure(zone: Zone, path: str, *, by: Any, now: datetime) -> None:
    """Have the folder `path`, and those that it is in."""
    Zone.objects.select_for_update().get(pk=zone.pk)
    while path and path != TOP:
        if not zone.folders.filter(path__iexact=path).exists():
            folder = Folder.objects.create(zone=zone, path=path)
            if not folder.is_root:
                audit.record("Folder created", folder, by=by, at=now)
        path = path.rpartition("/")[0]


@transaction.atomic
def rename(folder: Folder, name: str, *, by: Any, now: datetime) -> Folder:
    """Give the folder another name; all that is in it stays in it. Raises NotPossible."""
    zone = _locked(folder)
    folder.refresh_from_db()
    if why_not := why_not_changed(folder):
        raise NotPossible(why_not)
    old, new = folder.path, f"{folder.parent}/{check_name(name)}"
    _refuse_taken(zone, new, but=folder)
    below = zone.folders.filter(pk=folder.pk) | zone.folders.below(old)
    longest = below.aggregate(it=Max(Length("path")))["it"]
    if longest - len(old) + len(new) > LONGEST_PATH:
        raise NotPossible(f"The path of a folder in it would exceed {LONGEST_PATH} characters.")
    _move_paths(below, "path", old, new)
    named = Q(zone=zone) & (Q(folder=old) | Q(folder__startswith=f"{old}/"))
    _move_paths(Device.objects.filter(named), "folder", old, new)
    _move_paths(RegistrationKey.objects.filter(named), "folder", old, new)
    folder.path = new
    audit.record("Folder renamed", folder, by=by, at=now, before=old, after=new)
    return folder


def _move_paths(rows: "QuerySet", column: str, old: str, new: str) -> None:  # type: ignore[type-arg]
    rows.update(**{column: Concat(Value(new), Substr(column, len(old) + 1))})


@transaction.atomic
def delete(folder: Folder, *, by: Any, now: datetime) -> None:
    """Delete an empty folder. Raises NotPossible when something is in it."""
    _locked(folder)
    if why_not := why_not_deleted(folder):
        raise NotPossible(why_not)
    audit.record("Folder deleted", folder, by=by, at=now)
    folder.delete()


def why_not_changed(folder: Folder) -> str:
    """Return why the folder can have no other name, nothing if it can."""
    return f"{folder.name} is one of the three folders of every zone." if folder.is_root else ""


def why_not_deleted(folder: Folder) -> str:
    """Return why the folder cannot be deleted, nothing if it can."""
    if why_not := why_not_changed(folder):
        return why_not
    zone = folder.zone
    if inner := zone.folders.below(folder.path).first():
        return f"{folder.path} is not empty: {inner.path} is in it."
    held = Device.objects.filter(zone=zone, folder=folder.path).order_by("retired_at", "name")
    if device := held.first():
        what = "the retired device " if device.is_retired else ""
        if others := held.count() - 1:
            return (
                f"{folder.path} is not empty: {what}{device.name} and {count(others, 'other')} "
                "are in it."
            )
        return f"{folder.path} is not empty: {what}{device.name} is in it."
    if key := RegistrationKey.objects.filter(zone=zone, folder=folder.path).first():
        return f"Devices join {folder.path} with the registration key {key.name}: revoke it first."
    return ""


@transaction.atomic
def move(devices: Iterable[Device], folder: Folder, *, by: Any, now: datetime) -> int:
    """Put devices into the folder; return how many were elsewhere. NotPossible: a wrong kind."""
    zone = _locked(folder)
    if not zone.folders.filter(pk=folder.pk, path=folder.path).exists():
        raise NotPossible(f"{folder.path} has been renamed or deleted. Choose again.")
    devices = list(devices)
    for device in devices:
        if device.kind not in folder.kinds:
            raise NotPossible(
                f"{device.name} is of the kind {device.get_kind_display()}: its folders are "
                f"{ROOT_OF[device.kind]} and those below it."
            )
    path = TOP if folder.is_root else folder.path
    chosen = Device.objects.filter(pk__in=[device.pk for device in devices], zone=zone)
    elsewhere: dict[str, list[Device]] = {}
    for device in chosen.exclude(folder=path):
        elsewhere.setdefault(device.folder_path, []).append(device)
    for before, moved in elsewhere.items():
        after = folder.path
        audit.record("Moved", *moved, by=by, at=now, before=before, after=after, is_part=True)
    if elsewhere:
        names = audit.first_of(sorted(device.name for row in elsewhere.values() for device in row))
        audit.record("Devices put into the folder", folder, by=by, at=now, note=names)
    return chosen.exclude(folder=path).update(folder=path)


def place_for(device: Device, wanted: str) -> str:
    """Return the folder that `wanted` means for this device: its kind's, if it is not for it."""
    root = ROOT_OF[device.kind]
    return wanted if wanted.startswith(f"{root}/") else TOP


def _locked(folder: Folder) -> Zone:
    return Zone.objects.select_for_update().get(pk=folder.zone_id)


def _refuse_taken(zone: Zone, path: str, *, but: Folder | None = None) -> None:
    taken = zone.folders.filter(path__iexact=path)
    if but is not None:
        taken = taken.exclude(pk=but.pk)
    if taken.exists():
        raise NotPossible(f"There is a folder {path} already. Choose another name.")
