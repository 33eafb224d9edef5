"""
Devices that should refresh because a Primary Server's certificate will have another subject.

"...they need to be refreshed if the subject has been changed for any of the Primary Server
certificates." (manual) Agents of this product trust CAs and keep no server's certificate, so for
them it is a precaution; others are what the sentence is about.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from certificates.models import Operation, ServerCertificate
from certificates.models.server_certificate import State
from devices.actions import ask_refresh
from devices.models import Device, DeviceQuerySet, Kind
from zcc.ground import audit
from zcc.templatetags.numbers import count

_OF_OPERATION = [State.FUTURE, State.CURRENT]
_REPLACED = [State.CURRENT, State.PREVIOUS]


def refresh_needed(operation: Operation) -> DeviceQuerySet:
    """
    Return the devices that have not refreshed since the last Primary Server's certificate came.

    None while one is still to come, and none if every subject stays what it is.
    """
    nobody = Device.objects.none()
    new = operation.server_certificates.filter(
        state__in=_OF_OPERATION, device__kind=Kind.PRIMARY_SERVER, device__retired_at=None
    )
    subjects = {row.device_id: row for row in new.only("device_id", "subject", "available_at")}
    servers = operation.servers.filter(device__kind=Kind.PRIMARY_SERVER, device__retired_at=None)
    if not subjects or servers.exclude(device__in=subjects).exists():
        return nobody
    if not any(_has_another(row, operation) for row in subjects.values()):
        return nobody
    since = max(row.available_at or operation.created_at for row in subjects.values())
    silent = Q(last_full_refresh_at=None) | Q(last_full_refresh_at__lt=since)
    devices = Device.objects.filter(silent, zone=operation.zone_id).active()
    return devices.exclude_primary_servers()


@transaction.atomic
def ask_all(operation: Operation, *, by: Any, now: datetime) -> int:
    """Ask all of them to refresh now; return how many there are."""
    asked = ask_refresh(refresh_needed(operation), now=now)
    audit.record("Refresh all", operation, by=by, at=now, note=count(asked, "device"))
    return asked


def _has_another(row: ServerCertificate, operation: Operation) -> bool:
    rows = ServerCertificate.objects.filter(device=row.device_id, state__in=_REPLACED)
    before = rows.exclude(operation=operation).order_by("activated_at").last()
    return before is not None and before.subject != row.subject
