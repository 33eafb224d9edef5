"""What devices and this app tell each other at a refresh: update steps, content."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from devices.models import Device
from systemupdates import actions, no_content, overtaken, replication, rounds
from systemupdates.models import DeviceUpdate, Replication, SystemUpdate
from systemupdates.models import device_update as device_updates
from systemupdates.models import replication as replications
from zcc.ground.wire import entries, guid, text, whole_number

REPORTABLE = (
    device_updates.State.DOWNLOADING,
    device_updates.State.UPDATING,
    device_updates.State.PENDING,
    device_updates.State.COMPLETED,
    device_updates.State.FAILED,
)


def record(device: Device, report: Mapping[str, Any], *, now: datetime) -> None:
    """Note the steps and content that the device reports; what makes no sense is passed over."""
    for step in entries(report, "steps"):
        _record_step(device, step, now=now)
    overtaken.complete(device, now=now)
    if device.is_content_satellite:
        for item in entries(report, "content"):
            _record_content(device, item, now=now)


def _record_step(device: Device, step: Mapping[str, Any], *, now: datetime) -> None:
    state, update_guid = text(step, "state"), guid(step, "update")
    if state not in REPORTABLE or update_guid is None:
        return
    updates = SystemUpdate.objects.assigned().filter(zone=device.zone_id)
    if update := updates.filter(guid=update_guid).first():
        attempt = whole_number(step, "attempt") or 0
        reason = no_content.with_names(text(step, "reason"), device.zone)
        actions.report_step(update, device, attempt=attempt, state=state, reason=reason, at=now)


def _record_content(device: Device, item: Mapping[str, Any], *, now: datetime) -> None:
    rows = Replication.objects.filter(server=device, update__content_sha256=text(item, "sha256"))
    size = whole_number(item, "size") or 0
    match text(item, "state"):
        case "available":
            rows.move(to=replications.State.AVAILABLE, at=now, received=size, last_error="")
        case "replicating":
            for row in rows.filter(state=replications.State.AVAILABLE):
                actions.content_lost(row, now=now)
            rows.filter(state=replications.State.WAITING).move(
                to=replications.State.REPLICATING, at=now, received=size
            )
        case "failed":
            error = no_content.with_names(text(item, "error"), device.zone)
            for row in rows.missing().select_related("update__zone"):
                actions.replication_failed(row, error=error, now=now)


def update_for(device: Device) -> dict[str, Any] | None:
    """Return the update that the device is to apply or finish, None if there is none."""
    row = (
        DeviceUpdate.objects.filter(device=device, state__in=device_updates.PENDING_STATES)
        .filter(update__state="assigned")
        .select_related("update")
        .order_by("pk")
        .last()
    )
    if row is None or not row.is_released:
        return None
    return {
        "id": str(row.update.guid),
        "attempt": row.attempt,
        "sha256": row.update.content_sha256,
        "size": row.update.content_size,
        "sources": replication.source_urls(row.update, device=device),
    }


def content_for(device: Device, *, now: datetime) -> list[dict[str, Any]]:
    """Return the complete list of what a Content Satellite is to hold at this moment."""
    due = Replication.objects.filter(server=device, due_at__lte=now)
    held = Replication.objects.filter(server=device, state=replications.State.AVAILABLE)
    wanted = actions.wanted_content(device).filter(pk__in=(due | held).values("update"))
    rate = rounds.throttle(device.zone)
    return [
        {
            "sha256": update.content_sha256,
            "size": update.content_size,
            "sources": replication.source_urls(update, device=device),
            "throttle": rate,
        }
        for update in wanted
    ]
