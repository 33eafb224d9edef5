"""Which of the two CAs of an operation the running agents report that they trust."""

from functools import cached_property

from django.db.models import Count, Q, QuerySet, TextField
from django.db.models.functions import Cast

from certificates import links
from certificates.models import Operation
from devices.models import Device

SHOWN = 6


class LeftBehind:
    """The devices of the zone by whom they trust; Primary Servers are not asked."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        new_ca = operation.new_ca
        self._old = Q(reported__contains=operation.old_ca.sha256)
        self._new = Q(reported__contains=new_ca.sha256) if new_ca else Q(pk=None)

    def _devices(self) -> QuerySet[Device]:
        devices = Device.objects.filter(zone=self.operation.zone_id).active()
        reported = Cast("trusted_fingerprints", TextField())
        return devices.exclude_primary_servers().annotate(reported=reported)

    @cached_property
    def _counts(self) -> dict[str, int]:
        return self._devices().aggregate(
            both=Count("pk", filter=self._old & self._new),
            only_old=Count("pk", filter=self._old & ~self._new),
            only_new=Count("pk", filter=~self._old & self._new),
            neither=Count("pk", filter=~self._old & ~self._new),
        )

    @property
    def has_bridge(self) -> bool:
        """Whether the old CA is signed by the new one, for those that know only that."""
        return links.bridge(self.operation) is not None

    @property
    def both(self) -> int:
        return self._counts["both"]

    @property
    def only_old(self) -> int:
        return self._counts["only_old"]

    @property
    def only_new(self) -> int:
        return self._counts["only_new"]

    @property
    def neither(self) -> int:
        return self._counts["neither"]

    @property
    def unmoved(self) -> int:
        """Those that notice nothing when the old CA is the active one again."""
        return self.both + self.only_old

    @property
    def without_new(self) -> QuerySet[Device]:
        """All that do not trust the new CA, by name."""
        return self._devices().filter(~self._new).order_by("name")

    @cached_property
    def to_look_after(self) -> list[Device]:
        """The first devices, by name, that trust neither: no chain can reach them."""
        rows = self._devices().filter(~self._old & ~self._new).order_by("name")
        return list(rows[:SHOWN])

    @cached_property
    def first_only_new(self) -> list[Device]:
        rows = self._devices().filter(~self._old & self._new).order_by("name")
        return list(rows[:SHOWN])
