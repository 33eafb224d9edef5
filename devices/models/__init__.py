"""The zone and what belongs to it. Each name is documented where it is defined."""

from devices.models.device import Device, DeviceQuerySet, Heartbeat
from devices.models.enrolment import EnrolmentLink, RegistrationKey
from devices.models.folder import (
    LONGEST_PATH,
    MOBILE_DEVICES,
    ROOT_OF,
    ROOTS,
    SERVERS,
    TOP,
    WORKSTATIONS,
    Folder,
    Kind,
    Schedule,
    in_order,
    schedule_of,
    within,
)
from devices.models.zone import TICK_STALE_AFTER, Zone

__all__ = [
    "LONGEST_PATH",
    "MOBILE_DEVICES",
    "ROOTS",
    "ROOT_OF",
    "SERVERS",
    "TICK_STALE_AFTER",
    "TOP",
    "WORKSTATIONS",
    "Device",
    "DeviceQuerySet",
    "EnrolmentLink",
    "Folder",
    "Heartbeat",
    "Kind",
    "RegistrationKey",
    "Schedule",
    "Zone",
    "in_order",
    "schedule_of",
    "within",
]
