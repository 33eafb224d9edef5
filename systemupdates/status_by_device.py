"""Status by Device: what its address asks for, turned into a query."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from devices.listing import NEVER, matches
from systemupdates import overview
from systemupdates.models import DeviceUpdate, SystemUpdate
from systemupdates.models.device_update import PENDING_STATES, State
from zcc.ground import paging

# The manual's three counts lead here by `count=`; each status is a filter by `status=`.
GROUPS = {
    "pending": ("Pending", PENDING_STATES),
    "successful": ("Successful", (State.COMPLETED,)),
    "failed": ("Failed", (State.FAILED,)),
}
# Those that need someone first.
ORDER = (
    State.FAILED,
    State.ASSIGNED,
    State.DOWNLOADING,
    State.UPDATING,
    State.PENDING,
    State.COMPLETED,
    State.IGNORED,
    State.WITHDRAWN,
)
SORTS = {"name": "device__name", "contact": "contact", "changed": "changed_at"}


@dataclass(frozen=True)
class Chip:
    """A filter by status, with its number of devices."""

    value: str
    word: str
    number: int


@dataclass(frozen=True)
class Listing:
    """What the page shows."""

    search: str
    status: str
    count: str
    sort: str
    descending: bool
    chips: list[Chip]
    counts: overview.Counts
    page: paging.Page

    @property
    def group(self) -> str:
        """The word of the chosen count, or nothing."""
        return GROUPS[self.count][0] if self.count else ""

    @property
    def group_number(self) -> int:
        states = GROUPS[self.count][1] if self.count else ()
        return sum(self.counts.by_state.get(state, 0) for state in states)

    @property
    def word(self) -> str:
        """The word of the chosen status, or nothing."""
        return str(State(self.status).label) if self.status else ""

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search or self.status or self.count)


def listing(update: SystemUpdate, query: Mapping[str, str]) -> Listing:
    """Return what the address `query` asks for; what it asks wrongly is left out."""
    status = query.get("status", "")
    status = status if status in State.values else ""
    count = query.get("count", "")
    count = count if count in GROUPS else ""
    search = query.get("q", "").strip()
    wanted = query.get("sort", "name")
    sort = wanted.removeprefix("-") if wanted.removeprefix("-") in SORTS else "name"
    counts = overview.count_devices([update])[update.pk]
    rows = _narrow(update, search, status, count)
    return Listing(
        search=search,
        status=status,
        count=count,
        sort=sort,
        descending=wanted.startswith("-"),
        chips=_chips(counts, status),
        counts=counts,
        page=paging.cut(rows, query, key=SORTS[sort], descending=wanted.startswith("-")),
    )


def _narrow(update: SystemUpdate, search: str, status: str, count: str) -> "QuerySet[DeviceUpdate]":
    rows = DeviceUpdate.objects.in_play().filter(update=update).select_related("device")
    rows = rows.annotate(contact=Coalesce("device__last_contact_at", Value(NEVER)))
    if status:
        rows = rows.filter(state=status)
    if count:
        rows = rows.filter(state__in=GROUPS[count][1])
    return rows.filter(matches(search, "device__")) if search else rows


def _chips(counts: overview.Counts, status: str) -> list[Chip]:
    """One chip a status that some device has, and the chosen one in any case."""
    chips = [Chip(state, str(state.label), counts.by_state.get(state, 0)) for state in ORDER]
    return [chip for chip in chips if chip.number or chip.value == status]
