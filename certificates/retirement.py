"""What is known before the old CA is retired: who still trusts only it, by their own reports."""

from datetime import datetime
from functools import cached_property

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from certificates.models import Operation
from certificates.models.operation import State
from devices.models import Device

SHOWN = 6


class Retirement:
    """The evidence that the dialog `Retire old CA` shows."""

    def __init__(self, operation: Operation, *, now: datetime) -> None:
        self.operation, self.now = operation, now

    @property
    def why_not(self) -> str:
        """Why the old CA cannot be retired now; nothing if it can."""
        operation = self.operation
        if operation.state == State.COMPLETED:
            return "The old CA is retired already."
        if operation.state != State.OVERLAP:
            return "There is no overlap to end: the new CA is not in force yet."
        if Operation.objects.filter(zone=operation.zone).open().exists():
            return "Another operation is in progress. Cancel it, or wait until it is activated."
        return ""

    @cached_property
    def _only_old(self) -> QuerySet[Device]:
        """Devices whose running agent reports the old CA and not the new one."""
        reported = Cast("trusted_fingerprints", TextField())
        devices = (
            Device.objects.filter(zone=self.operation.zone).active().annotate(reported=reported)
        )
        new_ca = self.operation.new_ca
        assert new_ca is not None  # there is one once the operation is prepared: a constraint
        rows = devices.filter(reported__contains=self.operation.old_ca.sha256)
        return rows.exclude(reported__contains=new_ca.sha256)

    @cached_property
    def number(self) -> int:
        return self._only_old.count() if self.operation.new_ca_id else 0

    @cached_property
    def first(self) -> list[Device]:
        """The first of them by name."""
        return list(self._only_old.order_by("name")[:SHOWN]) if self.number else []

    @cached_property
    def silent(self) -> int:
        """How many devices have not reported since the activation."""
        since = self.operation.activated_at
        if since is None:
            return 0
        devices = Device.objects.filter(zone=self.operation.zone).active()
        return devices.exclude(last_contact_at__gte=since).count()

    @cached_property
    def unswitched(self) -> list[str]:
        """Servers that still show their old certificate."""
        rows = self.operation.servers.filter(activated_at=None, device__retired_at=None)
        return [row.device.name for row in rows.select_related("device").order_by("device__name")]
