"""
The zone and what belongs to it: Primary Servers, Satellites, managed devices, mobiles.

A Primary Server is a device too: it has names, addresses and an update status like any other. That
it runs the console shows in its kind; that it is alive shows in its heartbeat. Which of them holds
the CA role is not known here: that is a column of the certificate authority.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Max, Q, TextField
from django.db.models.functions import MD5, Cast, Lower
from django.utils.functional import cached_property

from zcc.ground import here

# A clock this far off is an alarm; every instant that matters is the database's all the same.
SKEW_ALARM = timedelta(seconds=5)
# Every worker ticks once a second. A page older than this may show a zone that stands still.
TICK_STALE_AFTER = timedelta(seconds=30)
TICK_PERIOD = timedelta(milliseconds=900)


class ZoneQuerySet(models.QuerySet["Zone"]):
    def win_tick(self, *, at: datetime) -> bool:
        """Take this second's tick; False when another server has it already."""
        due = Q(tick_at=None) | Q(tick_at__lt=at - TICK_PERIOD)
        return bool(self.filter(due).update(tick_at=at))


class Zone(models.Model):
    """One per installation; its settings are what every page and worker goes by."""

    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    # The manual's defaults: Primary Servers look for content every hour, devices refresh every 12.
    replication_interval = models.DurationField(default=timedelta(hours=1))
    refresh_interval = models.DurationField(default=timedelta(hours=12))
    tick_at = models.DateTimeField(null=True, editable=False)

    objects = ZoneQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    def last_tick_at(self) -> datetime | None:
        """When a worker last looked for due work, as its heartbeat tells."""
        last: datetime | None = Heartbeat.objects.filter(server__zone=self).aggregate(
            at=Max("tick_at")
        )["at"]
        return last


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
        return "/" + self.path.split("/")[1]

    @property
    def is_root(self) -> bool:
        return self.path in ROOTS

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of devices that it can hold."""
        return ROOTS[self.root]


class DeviceQuerySet(models.QuerySet["Device"]):
    def active(self) -> "DeviceQuerySet":
        """Everything that is not retired: what counts are made of."""
        return self.filter(retired_at=None)

    def primary_servers(self) -> "DeviceQuerySet":
        return self.filter(kind=Kind.PRIMARY_SERVER)

    def authentication_satellites(self) -> "DeviceQuerySet":
        return self.filter(is_authentication_satellite=True)

    def satellites(self) -> "DeviceQuerySet":
        return self.filter(Q(is_authentication_satellite=True) | Q(is_content_satellite=True))

    def exclude_primary_servers(self) -> "DeviceQuerySet":
        return self.exclude(kind=Kind.PRIMARY_SERVER)

    def content_servers(self) -> "DeviceQuerySet":
        """Whatever holds update content: all Primary Servers and the Content Satellites."""
        return self.filter(Q(kind=Kind.PRIMARY_SERVER) | Q(is_content_satellite=True))

    def tls_servers(self) -> "DeviceQuerySet":
        """Whatever has a server certificate: Primary Servers and Authentication Satellites."""
        return self.filter(Q(kind=Kind.PRIMARY_SERVER) | Q(is_authentication_satellite=True))

    def within(self, path: str) -> "DeviceQuerySet":
        """Those in the folder `path` or in one below it."""
        return self.filter(within(path))

    def asked_to_refresh(self) -> "DeviceQuerySet":
        """Those for whom somebody pressed `Refresh Device` and who have not refreshed since."""
        return self.filter(refresh_asked_at__isnull=False, retired_at=None)

    def here(self) -> "Device":
        """The Primary Server whose process this is: a message that went astray does nothing."""
        return self.get(guid=here.identity().guid)

    def alive(self, now: datetime) -> "DeviceQuerySet":
        """Primary Servers with a heartbeat; the others are late."""
        return self.primary_servers().filter(heartbeat__at__gt=now - settings.ZCC_LATE_AFTER)


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


class Device(models.Model):
    """A server, Satellite, workstation or mobile of the zone."""

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="devices")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=253)
    kind = models.CharField(max_length=11, choices=Kind)
    is_content_satellite = models.BooleanField(default=False)
    is_authentication_satellite = models.BooleanField(default=False)
    dns_name = models.CharField(max_length=253, blank=True)
    addresses = models.JSONField(default=list)
    additional_dns_names = models.JSONField(default=list)
    version = models.CharField(max_length=32, blank=True)
    folder = models.CharField(max_length=LONGEST_PATH, default=TOP)  # see folder_path
    is_test = models.BooleanField(default=False)
    enrolled_at = models.DateTimeField()
    last_contact_at = models.DateTimeField(null=True)
    last_full_refresh_at = models.DateTimeField(null=True)
    # In which hours of the last weeks it was in contact: devices.check_ins.
    check_ins = models.BinaryField(default=b"", editable=False)
    retired_at = models.DateTimeField(null=True)
    refresh_interval = models.DurationField(null=True)
    refresh_asked_at = models.DateTimeField(null=True)
    clock_offset = models.DurationField(null=True)
    # What the running agent says it trusts: SHA-256 fingerprints, lower case hex.
    trusted_fingerprints = models.JSONField(default=list)
    # A digest of them, made by the database itself: devices are grouped by it, through an index.
    # It secures nothing, so it may be the one digest that PostgreSQL has without an extension.
    trust_set = models.GeneratedField(
        expression=MD5(Cast("trusted_fingerprints", TextField())),
        output_field=models.CharField(max_length=32),
        db_persist=True,
    )
    trust_epoch = models.PositiveBigIntegerField(default=0)
    # What a server sent it that it did not follow, in words; the last time that it was so.
    refused = models.CharField(max_length=400, blank=True)
    refused_at = models.DateTimeField(null=True)
    token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)
    # The Satellite roles that its agent has taken up (None: it has not said), and why not another.
    reported_roles = models.JSONField(null=True)
    role_problem = models.CharField(max_length=400, blank=True, db_default="")
    # Of a mobile: the hash of the secret in the address of its end-user page.
    page_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["zone", "name"], name="device_name_unique_in_zone"),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="device_by_name"),
            models.Index(fields=["folder", "kind", "name"], name="device_by_folder"),
            models.Index(
                fields=["zone", "trust_set", "name", "kind"],
                condition=models.Q(retired_at=None),
                name="device_by_trust_set",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(refresh_asked_at__isnull=False),
                name="device_asked_to_refresh",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    @property
    def is_primary_server(self) -> bool:
        return self.kind == Kind.PRIMARY_SERVER

    @property
    def is_mobile(self) -> bool:
        return self.kind == Kind.MOBILE

    @property
    def is_satellite(self) -> bool:
        return self.is_content_satellite or self.is_authentication_satellite

    @property
    def is_content_server(self) -> bool:
        return self.is_primary_server or self.is_content_satellite

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None

    @property
    def queue(self) -> str:
        """The queue that only this Primary Server's worker serves."""
        return f"server.{self.guid}"

    @property
    def roles(self) -> list[str]:
        """The Satellite roles, in the manual's words."""
        roles = {
            "Authentication": self.is_authentication_satellite,
            "Content": self.is_content_satellite,
        }
        return [role for role, given in roles.items() if given]

    @property
    def given_roles(self) -> list[str]:
        """The Satellite roles as agents know them."""
        return [role.lower() for role in self.roles]

    @property
    def awaits_roles(self) -> bool:
        """Whether its agent has still to take up, or give up, a role."""
        return self.reported_roles is not None and set(self.reported_roles) != set(self.given_roles)

    @cached_property
    def address(self) -> str:
        """The address others reach it by: the first of its addresses, else its DNS name."""
        return str(self.addresses[0]) if self.addresses else self.dns_name

    @property
    def folder_path(self) -> str:
        """The folder it is in: one of the three, by its kind, or one below it."""
        return self.folder_root if self.folder == TOP else self.folder

    @property
    def folder_root(self) -> str:
        """The one of the three folders that its kind belongs to."""
        return ROOT_OF[self.kind]

    def inherited_schedule(self, intervals: Mapping[str, timedelta] | None = None) -> Schedule:
        """
        What it refreshes by if it has no schedule of its own: its folder's, or the zone's.

        Whoever asks of many devices brings the zone's `folders.intervals()` along.
        """
        if intervals is None:
            intervals = self.zone.folders.intervals()
        return schedule_of(self.folder_path, self.zone, intervals)

    def effective_refresh_interval(
        self, intervals: Mapping[str, timedelta] | None = None
    ) -> timedelta:
        return self.refresh_interval or self.inherited_schedule(intervals).interval

    def is_alive(self, now: datetime) -> bool:
        """Whether this Primary Server's worker has reported within the last minute."""
        beat = getattr(self, "heartbeat", None)
        return beat is not None and beat.at > now - settings.ZCC_LATE_AFTER


class EnrolmentLinkQuerySet(models.QuerySet["EnrolmentLink"]):
    def open(self, now: datetime) -> "EnrolmentLinkQuerySet":
        """Those that somebody can still use."""
        return self.filter(used_at=None, expires_at__gt=now)


class Heartbeat(models.Model):
    """A Primary Server's worker says that it lives. The only row an idle zone writes."""

    server = models.OneToOneField(Device, models.CASCADE, related_name="heartbeat")
    at = models.DateTimeField()
    # Its last look for due work, and its clock less the database's.
    tick_at = models.DateTimeField(null=True)
    skew = models.DurationField(default=timedelta())

    def __str__(self) -> str:
        return f"{self.server_id} at {self.at:%Y-%m-%d %H:%M:%S}"

    @property
    def has_wrong_clock(self) -> bool:
        return abs(self.skew) > SKEW_ALARM


class RegistrationKey(models.Model):
    """Lets a device enrol. Only a hash is kept; the key was shown once."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="registration_keys")
    name = models.CharField(max_length=64)
    key_hash = models.CharField(max_length=64, unique=True)
    folder = models.CharField(max_length=LONGEST_PATH, default=TOP)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    uses_left = models.PositiveIntegerField(null=True)

    def is_in_force(self, now: datetime) -> bool:
        """Whether a device can still join with it."""
        has_expired = self.expires_at is not None and self.expires_at <= now
        return not has_expired and self.uses_left != 0

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class EnrolmentLink(models.Model):
    """
    Lets one mobile device have an identity, once. Only a hash is kept; the link was shown once.

    `device` is the mobile that is to have another identity; of a new one it is there once it has
    used the link. `key_hash` is that of the public key that used it: the same request may be sent
    again, as EST asks a client to, and no other.
    """

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="enrolment_links")
    device = models.ForeignKey(Device, models.CASCADE, null=True, related_name="enrolment_links")
    name = models.CharField(max_length=64)
    folder = models.CharField(max_length=120, default="/Mobile Devices")
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    key_hash = models.CharField(max_length=64, blank=True)

    objects = EnrolmentLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    def use(self, key_hash: str, *, at: datetime) -> bool:
        """Take the link for the request with this public key; False if another one has it."""
        unused = EnrolmentLink.objects.filter(pk=self.pk, used_at=None)
        if unused.update(used_at=at, key_hash=key_hash):
            self.used_at, self.key_hash = at, key_hash
            return True
        return EnrolmentLink.objects.filter(pk=self.pk, key_hash=key_hash).exists()
