"""A device that has left the zone is retired: it is in no count and no operation; and back."""

from datetime import datetime
from typing import Any

from django.db import transaction

from devices.actions import InvalidNames, NotPossibleNow, refuse_taken
from devices.models import Device
from zcc.ground import audit


@transaction.atomic
def retire(device: Device, *, by: Any, now: datetime) -> None:
    """Take the device out of every count and operation; its calls are refused. NotPossibleNow."""
    if why_not := why_not_retired(device):
        raise NotPossibleNow(why_not)
    if Device.objects.filter(pk=device.pk, retired_at=None).update(retired_at=now):
        audit.record("Retired", device, by=by, at=now)


def why_not_retired(device: Device) -> str:
    """Return why the device cannot be retired, nothing if it can."""
    if device.is_retired:
        return f"{device.name} is retired already."
    if device.is_primary_server:
        return f"{device.name} is a Primary Server: use Retire on its own page."
    return ""


@transaction.atomic
def bring_back(device: Device, *, by: Any, now: datetime) -> None:
    """Let a retired device count again; it is told what it missed. Raises NotPossibleNow."""
    if why_not := why_not_brought_back(device):
        raise NotPossibleNow(why_not)
    if device.is_authentication_satellite:
        try:
            refuse_taken(device, [device.dns_name, *device.additional_dns_names], device.addresses)
        except InvalidNames as error:
            raise NotPossibleNow(str(error)) from error
    if Device.objects.filter(pk=device.pk).exclude(retired_at=None).update(retired_at=None):
        audit.record("Brought back", device, by=by, at=now)


def why_not_brought_back(device: Device) -> str:
    """Return why the device cannot be brought back, nothing if it can."""
    return "" if device.is_retired else f"{device.name} is not retired."
