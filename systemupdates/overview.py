"""What the pages ask of many updates and devices at once: grouped queries, never one a row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import (
    Count,
    Exists,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    prefetch_related_objects,
)

from devices.models import Device
from systemupdates import actions
from systemupdates.models import DeviceUpdate, Replication, SystemUpdate, UpdateEvent
from systemupdates.models.device_update import APPLIED_STATES, PENDING_STATES, TRANSITIONS, word
from systemupdates.models.device_update import State as DeviceState
from systemupdates.models.replication import State as ReplicationState
from systemupdates.models.update import State
from zcc.ground import counting

# What is done first, what needs someone last.
IN_ORDER = (
    DeviceState.COMPLETED,
    DeviceState.PENDING,
    DeviceState.UPDATING,
    DeviceState.DOWNLOADING,
    DeviceState.ASSIGNED,
    DeviceState.FAILED,
    DeviceState.IGNORED,
)


@dataclass
class Counts:
    """How many devices of one update are in which state, the retired ones left out."""

    by_state: dict[str, int] = field(default_factory=dict)
    # Why the update cannot be baselined now, where that was asked: see `with_baseline`.
    why_not_baselined: str = ""
    update: SystemUpdate | None = None  # where the words must fit one that is over

    def _sum(self, states: Iterable[str]) -> int:
        return sum(self.by_state.get(state, 0) for state in states)

    @property
    def pending(self) -> int:
        return self._sum(PENDING_STATES)

    @property
    def successful(self) -> int:
        return self._sum([DeviceState.COMPLETED])

    @property
    def failed(self) -> int:
        return self._sum([DeviceState.FAILED])

    @property
    def ignored(self) -> int:
        return self._sum([DeviceState.IGNORED])

    @property
    def waiting(self) -> int:
        """Those that have applied it and count as Pending until the activation."""
        return self._sum([DeviceState.PENDING])

    @property
    def applied(self) -> int:
        """Those that trust the new CA; whether they are ready certificates.readiness says."""
        return self._sum(APPLIED_STATES)

    @property
    def applied_percent(self) -> int:
        """Rounded down: never 100 while one is missing."""
        return self.applied * 100 // self.counted if self.counted else 0

    @property
    def counted(self) -> int:
        """All that count: whoever is ignored does not."""
        return self.pending + self.successful + self.failed

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    @property
    def key(self) -> list[tuple[str, str, int]]:
        """State, status word and number, in the order in which the design shows them."""
        return [(state, self._word(state), self.by_state.get(state, 0)) for state in IN_ORDER]

    @property
    def by_word(self) -> dict[str, int]:
        """The counts by status word, as the stacked bar wants them."""
        return {self._word(state): number for state, number in self.by_state.items()}

    def _word(self, state: str) -> str:
        return word(state, self.update) if self.update else str(DeviceState(state).label)


@dataclass
class Replicated:
    """How many content servers hold the content of one update."""

    available: int = 0
    failed: int = 0
    total: int = 0


@dataclass(frozen=True)
class History:
    """One update of one device: its steps, and what can be done about it now."""

    row: DeviceUpdate

    @property
    def update(self) -> SystemUpdate:
        return self.row.update

    @property
    def can_redeploy(self) -> bool:
        return self._can(DeviceState.ASSIGNED)

    @property
    def is_ignored(self) -> bool:
        return self.row.state == DeviceState.IGNORED

    @property
    def can_ignore(self) -> bool:
        return self._can(DeviceState.IGNORED)

    @property
    def why_not_ignored(self) -> str:
        """Why it is refused although its status would allow it, nothing if it is not."""
        return "Every Primary Server must switch." if self.row.device.is_primary_server else ""

    def _can(self, to: str) -> bool:
        may_move = to in TRANSITIONS.get(self.row.state, set())
        return self.update.is_assigned and may_move and not self.row.device.is_retired


def history(device: Device, *, most: int) -> list[History]:
    """Return the device's updates, the newest first, with their events and who caused them."""
    rows = device.updates.select_related("update").prefetch_related("events__by")
    return [History(row) for row in rows.order_by("-update_id")[:most]]


@dataclass(frozen=True)
class Deployment:
    """One line of the deployment history."""

    update: SystemUpdate
    counts: Counts
    events: list[UpdateEvent]

    @property
    def first(self) -> UpdateEvent | None:
        """How it began: by whom."""
        return self.events[0] if self.events else None

    @property
    def last(self) -> UpdateEvent | None:
        """What was done with it last, and by whom."""
        return self.events[-1] if self.events else None


def end_of(update: SystemUpdate) -> UpdateEvent | None:
    """Return what ended the update, when and by whom; None as long as it is open."""
    return None if update.is_open else update.events.select_related("by").last()


def deployments(updates: list[SystemUpdate]) -> list[Deployment]:
    """Return the updates with their counts and events, in a fixed number of queries."""
    told = Prefetch("events", UpdateEvent.objects.select_related("by"))
    prefetch_related_objects(updates, told)
    counts = with_baseline(count_devices(updates), updates)
    return [Deployment(row, counts[row.pk], list(row.events.all())) for row in updates]


def unfinished(updates: "QuerySet[SystemUpdate]") -> "QuerySet[SystemUpdate]":
    """Updates that still have something to do: to be replicated, or a device on its way."""
    on_the_way = DeviceUpdate.objects.in_play().filter(
        update=OuterRef("pk"), state__in=[*PENDING_STATES, DeviceState.FAILED]
    )
    return updates.filter(
        Q(state__in=[State.CREATED, State.REPLICATING])
        | Q(Exists(on_the_way), state=State.ASSIGNED)
    )


def unfinished_devices(update: SystemUpdate) -> "QuerySet[Device]":
    """The devices that have not completed the update and are not left out of it, by name."""
    rows = update.device_updates.filter(state__in=[*PENDING_STATES, DeviceState.FAILED])
    return Device.objects.active().filter(pk__in=rows.values("device")).order_by("name")


def count_devices(updates: Sequence[SystemUpdate]) -> dict[int, Counts]:
    """
    Return the counts of each update, by its primary key, from one query.

    Of a withdrawn one it is what was so then: it is in no device's list any more.
    """
    chosen = sorted(row.pk for row in updates if not row.at_withdrawal)
    rows = DeviceUpdate.objects.in_play().filter(update__in=chosen)

    def count() -> dict[tuple[int, str], int]:
        found = rows.values_list("update", "state").annotate(Count("pk")).order_by()
        return {(update, state): number for update, state, number in found}

    counts: dict[int, Counts] = defaultdict(Counts)
    key = (
        "devices of updates",
        tuple(sorted(str(row.guid) for row in updates if not row.at_withdrawal)),
    )
    for (update, state), number in counting.kept(key, count).items():
        counts[update].by_state[state] = number
    for row in updates:
        if row.at_withdrawal:
            counts[row.pk] = Counts(row.at_withdrawal)
        counts[row.pk].update = row
    return counts


def with_baseline(counts: dict[int, Counts], updates: Sequence[SystemUpdate]) -> dict[int, Counts]:
    """Say in the counts of each update why it cannot be baselined; one query for all."""
    for pk, names in actions.primary_servers_without(updates).items():
        counts[pk].why_not_baselined = actions.not_before(names)
    return counts


def count_replicas(updates: Iterable[SystemUpdate]) -> dict[int, Replicated]:
    """Return how far each update is replicated, by its primary key, from one query."""
    counts: dict[int, Replicated] = defaultdict(Replicated)
    rows = Replication.objects.filter(
        update__in=[row.pk for row in updates], server__retired_at=None
    )
    for update, state, number in rows.values_list("update", "state").annotate(Count("pk")):
        replicated = counts[update]
        replicated.total += number
        replicated.available += number if state == ReplicationState.AVAILABLE else 0
        replicated.failed += number if state == ReplicationState.FAILED else 0
    return counts
