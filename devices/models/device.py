"""
Primary Servers, Satellites, managed devices, mobiles.

A Primary Server is a device too: it has names, addresses and an update status like any other. That
it runs the console shows in its kind; that it is alive shows in its heartbeat. Which of them holds
the CA role is not known here: that is a column of the certificate authority.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Max, Q, TextField, Value
from django.db.models.functions import MD5, Cast, Coalesce
from django.utils.functional import cached_property

from devices.models.folder import LONGEST_PATH, ROOT_OF, TOP, Kind, Schedule, schedule_of, within
from devices.models.zone import Zone
from zcc.ground import here

# A clock this far off is an alarm; every instant that matters is the database's all the same.
SKEW_ALARM = timedelta(seconds=5)
# A device never heard of sorts as the one silent for longest.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

# Few devices have a role: without indexes of their own all others are passed over to find them.
FEW_ARE = {
    "device_primary": Q(kind=Kind.PRIMARY_SERVER),
    "device_authentication": Q(is_authentication_satellite=True),
    "device_content": Q(is_content_satellite=True),
    "device_test": Q(is_test=True),
}


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
    # The same without gaps: lists are sorted by it, through an index.
    heard_at = models.GeneratedField(
        expression=Coalesce("last_contact_at", Value(NEVER)),
        output_field=models.DateTimeField(),
        db_persist=True,
    )
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
    # The Primary Server that answered the last full refresh, by its name.
    heard_by = models.CharField(max_length=253, blank=True, db_default="")
    # Of a mobile: the hash of the secret in the address of its end-user page.
    page_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)
    # What a server with a certificate says of itself that its record does not: no certificate is
    # made for it until an administrator takes it over (actions.use_reported).
    reported_dns_name = models.CharField(max_length=253, blank=True, db_default="")
    reported_addresses = models.JSONField(null=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["zone", "name"], name="device_name_unique_in_zone"),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="device_by_name"),
            models.Index(fields=["heard_at", "id"], name="device_by_contact"),
            *(
                models.Index(fields=["name", "id"], condition=condition, name=name)
                for name, condition in FEW_ARE.items()
            ),
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
    def is_tls_server(self) -> bool:
        return self.is_primary_server or self.is_authentication_satellite

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

    @property
    def roles_not_taken(self) -> list[str]:
        """The given roles that its agent, which can be given any, has not taken up."""
        if self.reported_roles is None:
            return []
        return [role for role in self.roles if role.lower() not in self.reported_roles]

    @property
    def reports_other(self) -> str:
        """The address or DNS name it reports that its certificates are not made for, in words."""
        if not self.is_tls_server or self.is_retired:
            return ""
        addresses = ", ".join(self.reported_addresses or [])
        what = [f"another address: {addresses}"] if addresses else []
        name = self.reported_dns_name
        what += [f"another DNS name: {name}"] if name else []
        return ", and ".join(what)

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


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def last_tick_at(self) -> datetime | None:
        """
        When a worker last looked for due work. Every page asks: of these few rows alone.

        There is one zone in an installation; to name it, all its devices would have to be read.
        """
        last: datetime | None = self.aggregate(at=Max("tick_at"))["at"]
        return last


class Heartbeat(models.Model):
    """A Primary Server's worker says that it lives. The only row an idle zone writes."""

    server = models.OneToOneField(Device, models.CASCADE, related_name="heartbeat")
    at = models.DateTimeField()
    # Its last look for due work, and its clock less the database's.
    tick_at = models.DateTimeField(null=True)
    skew = models.DurationField(default=timedelta())

    objects = HeartbeatQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.server_id} at {self.at:%Y-%m-%d %H:%M:%S}"

    @property
    def has_wrong_clock(self) -> bool:
        return abs(self.skew) > SKEW_ALARM
