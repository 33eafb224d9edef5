"""Deployment stages: made, renamed, put in order, deleted, and the devices in them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from devices.models import Device, Zone
from systemupdates.models import DeploymentStage, StageMember
from zcc.ground import audit
from zcc.templatetags.numbers import count

MOST = 50


class NotPossible(Exception):
    """It cannot be done to this stage; the message is for the user."""


def in_order(zone: Zone) -> "QuerySet[DeploymentStage]":
    """Return the stages, the first one first, each with its number of devices."""
    counted = Count("members", filter=Q(members__device__retired_at=None))
    return DeploymentStage.objects.filter(zone=zone).annotate(number=counted).order_by(*_ORDER)


_ORDER = ("position", "pk")


@transaction.atomic
def create(zone: Zone, name: str, *, by: Any, now: datetime) -> DeploymentStage:
    """Add a stage behind the others. Raises NotPossible."""
    _lock(zone)
    stages = list(zone.stages.all())
    if len(stages) >= MOST:
        raise NotPossible(f"A zone has at most {MOST} stages. Delete one first.")
    _refuse_taken(zone, name)
    position = max((stage.position for stage in stages), default=0) + 1
    stage = DeploymentStage.objects.create(zone=zone, name=name, position=position)
    audit.record("Stage created", stage, by=by, at=now)
    return stage


@transaction.atomic
def rename(stage: DeploymentStage, name: str, *, by: Any, now: datetime) -> None:
    """Give the stage another name. Raises NotPossible."""
    _lock(stage.zone)
    _refuse_taken(stage.zone, name, but=stage)
    DeploymentStage.objects.filter(pk=stage.pk).update(name=name)
    before, stage.name = stage.name, name
    audit.record("Stage renamed", stage, by=by, at=now, before=before, after=name)


@transaction.atomic
def shift(stage: DeploymentStage, *, places: int, by: Any, now: datetime) -> bool:
    """Move the stage so many places back, or forward; False if it is at that end already."""
    _lock(stage.zone)
    stages = list(stage.zone.stages.order_by(*_ORDER))
    at = stages.index(stage)
    if not 0 <= at + places < len(stages):
        return False
    stages.insert(at + places, stages.pop(at))
    for position, other in enumerate(stages, start=1):
        other.position = position
    DeploymentStage.objects.bulk_update(stages, ["position"])
    before, after = f"place {at + 1}", f"place {at + places + 1}"
    audit.record("Stage moved", stage, by=by, at=now, before=before, after=after)
    return True


@transaction.atomic
def delete(stage: DeploymentStage, *, by: Any, now: datetime) -> None:
    """Delete the stage; its devices are in none then."""
    devices = count(stage.members.count(), "device")
    audit.record("Stage deleted", stage, by=by, at=now, note=f"{devices} in it")
    stage.delete()


@transaction.atomic
def assign(
    devices: Iterable[Device], stage: DeploymentStage | None, *, by: Any, now: datetime
) -> int:
    """Put the devices into the stage, out of any other; None: into none. Return how many."""
    rows = Device.objects.filter(pk__in=[device.pk for device in devices])
    chosen = list(rows.select_for_update().values_list("pk", flat=True))
    _record_assigned(chosen, stage, by=by, now=now)
    StageMember.objects.filter(device__in=chosen).delete()
    if stage is not None:
        StageMember.objects.bulk_create(StageMember(stage=stage, device_id=pk) for pk in chosen)
    return len(chosen)


def _record_assigned(
    chosen: list[int], stage: DeploymentStage | None, *, by: Any, now: datetime
) -> None:
    """Tell it of each device that was in another stage, or in none."""
    rows = Device.objects.filter(pk__in=chosen).select_related("stage_member__stage")
    moved: dict[str, list[Device]] = {}
    for device in rows:
        member = getattr(device, "stage_member", None)
        if (member.stage_id if member else None) != (stage.pk if stage else None):
            moved.setdefault(member.stage.name if member else "none", []).append(device)
    after = stage.name if stage else "none"
    for before, devices in moved.items():
        what, is_part = "Deployment stage", stage is not None
        audit.record(what, *devices, by=by, at=now, before=before, after=after, is_part=is_part)
    if stage is not None and moved:
        names = audit.first_of(sorted(device.name for row in moved.values() for device in row))
        audit.record("Devices put into the stage", stage, by=by, at=now, note=names)


def _lock(zone: Zone) -> None:
    Zone.objects.select_for_update().get(pk=zone.pk)


def _refuse_taken(zone: Zone, name: str, *, but: DeploymentStage | None = None) -> None:
    taken = zone.stages.filter(name__iexact=name)
    if but is not None:
        taken = taken.exclude(pk=but.pk)
    if taken.exists():
        raise NotPossible(f"There is a stage {name} already. Choose another name.")
