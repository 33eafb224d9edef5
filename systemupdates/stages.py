"""Deployment stages: made, renamed, put in order, deleted, and the devices in them."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from devices.models import Device, Zone
from systemupdates.models import DeploymentStage, StageMember

MOST = 50


class NotPossible(Exception):
    """It cannot be done to this stage; the message is for the user."""


def in_order(zone: Zone) -> "QuerySet[DeploymentStage]":
    """Return the stages, the first one first, each with its number of devices."""
    counted = Count("members", filter=Q(members__device__retired_at=None))
    return DeploymentStage.objects.filter(zone=zone).annotate(number=counted).order_by(*_ORDER)


_ORDER = ("position", "pk")


@transaction.atomic
def create(zone: Zone, name: str) -> DeploymentStage:
    """Add a stage behind the others. Raises NotPossible."""
    _lock(zone)
    stages = list(zone.stages.all())
    if len(stages) >= MOST:
        raise NotPossible(f"A zone has at most {MOST} stages. Delete one first.")
    _refuse_taken(zone, name)
    position = max((stage.position for stage in stages), default=0) + 1
    return DeploymentStage.objects.create(zone=zone, name=name, position=position)


@transaction.atomic
def rename(stage: DeploymentStage, name: str) -> None:
    """Give the stage another name. Raises NotPossible."""
    _lock(stage.zone)
    _refuse_taken(stage.zone, name, but=stage)
    DeploymentStage.objects.filter(pk=stage.pk).update(name=name)


@transaction.atomic
def shift(stage: DeploymentStage, *, by: int) -> bool:
    """Move the stage so many places back, or forward; False if it is at that end already."""
    _lock(stage.zone)
    stages = list(stage.zone.stages.order_by(*_ORDER))
    at = stages.index(stage)
    if not 0 <= at + by < len(stages):
        return False
    stages.insert(at + by, stages.pop(at))
    for position, other in enumerate(stages, start=1):
        other.position = position
    DeploymentStage.objects.bulk_update(stages, ["position"])
    return True


def delete(stage: DeploymentStage) -> None:
    """Delete the stage; its devices are in none then."""
    stage.delete()


@transaction.atomic
def assign(devices: Iterable[Device], stage: DeploymentStage | None) -> int:
    """Put the devices into the stage, out of any other; None: into none. Return how many."""
    rows = Device.objects.filter(pk__in=[device.pk for device in devices])
    chosen = list(rows.select_for_update().values_list("pk", flat=True))
    StageMember.objects.filter(device__in=chosen).delete()
    if stage is not None:
        StageMember.objects.bulk_create(StageMember(stage=stage, device_id=pk) for pk in chosen)
    return len(chosen)


def _lock(zone: Zone) -> None:
    Zone.objects.select_for_update().get(pk=zone.pk)


def _refuse_taken(zone: Zone, name: str, *, but: DeploymentStage | None = None) -> None:
    taken = zone.stages.filter(name__iexact=name)
    if but is not None:
        taken = taken.exclude(pk=but.pk)
    if taken.exists():
        raise NotPossible(f"There is a stage {name} already. Choose another name.")
