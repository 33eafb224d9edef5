"""Status by Device: what its address asks for, turned into a query."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Count, QuerySet, Value
from django.db.models.functions import Coalesce

from devices.listing import NEVER, Choice, matches
from devices.models import ROOTS, Folder, Kind, within
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
class Wanted:
    """What an address asks for: the filters, which hold together, and the order."""

    search: str
    status: str
    count: str
    kind: str
    folder: str
    folders: list[str]  # that can be chosen
    sort: str
    descending: bool

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wanted":
        """Return what the address `query` asks for; what it asks wrongly is left out."""
        sort = query.get("sort", "name")
        folders = [*ROOTS, *Folder.objects.exclude(path__in=ROOTS).values_list("path", flat=True)]
        return cls(
            search=query.get("q", "").strip(),
            status=_known(query, "status", State.values),
            count=_known(query, "count", GROUPS),
            kind=_known(query, "kind", Kind.values),
            folder=_known(query, "folder", folders),
            folders=folders,
            sort=sort.removeprefix("-") if sort.removeprefix("-") in SORTS else "name",
            descending=sort.startswith("-"),
        )

    @property
    def group(self) -> str:
        """The word of the chosen count, or nothing."""
        return GROUPS[self.count][0] if self.count else ""

    @property
    def word(self) -> str:
        """The word of the chosen status, or nothing."""
        return str(State(self.status).label) if self.status else ""

    @property
    def choices(self) -> list[Choice]:
        """The filters that are chosen from a menu."""
        kinds = {value: str(label) for value, label in Kind.choices}
        paths = {path: path for path in self.folders}
        return [
            Choice("kind", "Kind:", kinds, self.kind),
            Choice("folder", "Folder:", paths, self.folder),
        ]

    @property
    def filters(self) -> list[str]:
        """The filters that are on, in words."""
        chosen = [f"{choice.label} {choice.chosen}" for choice in self.choices if choice.chosen]
        return [word for word in (self.group, self.word) if word] + chosen

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search or self.filters)

    def order(self) -> list[str]:
        """The columns to sort by: the chosen one, and the key for those that are equal."""
        sign = "-" if self.descending else ""
        return [f"{sign}{SORTS[self.sort]}", f"{sign}pk"]


def _known(query: Mapping[str, str], name: str, values: Collection[str]) -> str:
    value = query.get(name, "")
    return value if value in values else ""


@dataclass(frozen=True)
class Listing:
    """What the page shows."""

    wanted: Wanted
    chips: list[Chip]
    counts: overview.Counts  # of the chosen kind and folder, whatever the status and the text
    page: paging.Page

    @property
    def group_number(self) -> int:
        states = GROUPS[self.wanted.count][1] if self.wanted.count else ()
        return sum(self.counts.by_state.get(state, 0) for state in states)


def listing(update: SystemUpdate, query: Mapping[str, str]) -> Listing:
    """Return what the address `query` asks for, in a number of queries that is always the same."""
    wanted = Wanted.read(query)
    counts = _count(update, wanted)
    key = SORTS[wanted.sort]
    return Listing(
        wanted=wanted,
        chips=_chips(counts, wanted.status),
        counts=counts,
        page=paging.cut(rows(update, wanted), query, key=key, descending=wanted.descending),
    )


def rows(update: SystemUpdate, wanted: Wanted) -> "QuerySet[DeviceUpdate]":
    """Return what the filters leave, unsorted; a retired device is in no list."""
    found = _placed(update, wanted).select_related("device")
    found = found.annotate(contact=Coalesce("device__last_contact_at", Value(NEVER)))
    if wanted.status:
        found = found.filter(state=wanted.status)
    if wanted.count:
        found = found.filter(state__in=GROUPS[wanted.count][1])
    return found.filter(matches(wanted.search, "device__")) if wanted.search else found


def _placed(update: SystemUpdate, wanted: Wanted) -> "QuerySet[DeviceUpdate]":
    """The rows of the chosen kind and folder: what the chips count."""
    found = DeviceUpdate.objects.in_play().filter(update=update)
    if wanted.kind:
        found = found.filter(device__kind=wanted.kind)
    return found.filter(within(wanted.folder, "device__")) if wanted.folder else found


def _count(update: SystemUpdate, wanted: Wanted) -> overview.Counts:
    states = _placed(update, wanted).values_list("state").annotate(Count("pk")).order_by()
    return overview.Counts(dict(states))


def _chips(counts: overview.Counts, status: str) -> list[Chip]:
    """One chip a status that some device has, and the chosen one in any case."""
    chips = [Chip(state, str(state.label), counts.by_state.get(state, 0)) for state in ORDER]
    return [chip for chip in chips if chip.number or chip.value == status]
