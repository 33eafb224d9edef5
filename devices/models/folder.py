"""The folders that devices are in, and the refresh schedule that they give them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from devices.models.zone import Zone


class Kind(models.TextChoices):
    PRIMARY_SERVER = "primary", "Primary Server"
    SERVER = "server", "Server"
    WORKSTATION = "workstation", "Workstation"
    MOBILE = "mobile", "Mobile device"


# The three folders of every zone, the kinds of devices they hold, and the address they go by.
SERVERS, WORKSTATIONS, MOBILE_DEVICES = "/Servers", "/Workstations", "/Mobile Devices"
ROOTS = {
    SERVERS: (Kind.PRIMARY_SERVER, Kind.SERVER),
    WORKSTATIONS: (Kind.WORKSTATION,),
    MOBILE_DEVICES: (Kind.MOBILE,),
}
ROOT_OF = {str(kind): root for root, kinds in ROOTS.items() for kind in kinds}
# What stands in a device's row while it is directly in the folder of its kind.
TOP = "/"
LONGEST_PATH = 120


class FolderQuerySet(models.QuerySet["Folder"]):
    def below(self, path: str) -> "FolderQuerySet":
        """The sub-folders of `path`, and theirs."""
        return self.filter(path__startswith=f"{path}/")

    def intervals(self) -> dict[str, timedelta]:
        """The refresh intervals of the folders that override what is above them, by path."""
        rows = self.exclude(refresh_interval=None)
        return dict(rows.values_list("path", "refresh_interval"))  # type: ignore[arg-type]


class Folder(models.Model):
    """A place for devices, known by its path: one of the three of every zone, or below it."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="folders")
    path = models.CharField(max_length=LONGEST_PATH)
    refresh_interval = models.DurationField(null=True)

    objects = FolderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("zone", Lower("path"), name="folder_once"),
        ]
        ordering = ["path"]

    def __str__(self) -> str:
        return f"{self.path} ({self.pk})"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The path of the folder it is in; nothing for one of the three."""
        return self.path.rpartition("/")[0]

    @property
    def root(self) -> str:
        return _root(self.path)

    @property
    def is_root(self) -> bool:
        return self.path in ROOTS

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of devices that it can hold."""
        return ROOTS[self.root]


def in_order(paths: Iterable[str]) -> list[str]:
    """Return the paths of folders, each before those in it, the three roots in their order."""
    order = list(ROOTS)
    return sorted(paths, key=lambda path: (order.index(_root(path)), path.casefold().split("/")))


def _root(path: str) -> str:
    return "/" + path.split("/")[1]


def within(path: str, prefix: str = "") -> Q:
    """Whether a device is in the folder `path` or below; `prefix` leads to it ("device__")."""
    if path in ROOTS:
        return Q(**{f"{prefix}kind__in": ROOTS[path]})
    return Q(**{f"{prefix}folder": path}) | Q(**{f"{prefix}folder__startswith": f"{path}/"})


@dataclass(frozen=True)
class Schedule:
    """How often something refreshes, and what says so: a path, or nothing for the zone."""

    interval: timedelta
    path: str = ""


def schedule_of(path: str, zone: Zone, intervals: Mapping[str, timedelta]) -> Schedule:
    """Return what holds in the folder `path`: its own, the nearest one's above, or the zone's."""
    while path:
        if path in intervals:
            return Schedule(intervals[path], path)
        path = path.rpartition("/")[0]
    return Schedule(zone.refresh_interval)
