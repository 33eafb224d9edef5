"""Status by Device: what its address asks for, turned into a query."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from devices.listing import FEW, Choice, having, matches, searched
from devices.models import ROOTS, Device, Folder, Kind, in_order, within
from systemupdates import further, overview
from systemupdates.models import DeviceUpdate, SystemUpdate
from systemupdates.models.device_update import PENDING_STATES, State, word
from zcc.ground import counting, paging
from zcc.ground.many import listed

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
_NO_STATE = "none"  # of a status and a count that exclude each other
SORTS = {"name": "device__name", "contact": "device__heard_at", "changed": "changed_at"}
# What settles a tie: the number of what has the column, so that an index has the order.
TIES = {"name": "device__id", "contact": "device__id", "changed": "pk"}


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
    only: str = ""  # a filter of an app above this one
    rows: Q = field(default_factory=Q)  # what that one leaves
    word: str = ""  # of the chosen status

    @classmethod
    def read(cls, query: Mapping[str, str], update: SystemUpdate, *, now: datetime) -> "Wanted":
        """Return what the address `query` asks for; what it asks wrongly is left out."""
        only = _known(query, "only", further.ONLY)
        sort = query.get("sort", "name")
        status = _known(query, "status", State.values)
        others = Folder.objects.exclude(path__in=ROOTS).values_list("path", flat=True)
        folders = in_order([*ROOTS, *others])
        return cls(
            search=searched(query),
            status=status,
            word=word(status, update) if status else "",
            count=_known(query, "count", GROUPS),
            kind=_known(query, "kind", Kind.values),
            folder=_known(query, "folder", folders),
            folders=folders,
            sort=sort.removeprefix("-") if sort.removeprefix("-") in SORTS else "name",
            descending=sort.startswith("-"),
            only=only,
            rows=further.ONLY[only].rows(update, now) if only else Q(),
        )

    @property
    def group(self) -> str:
        """The word of the chosen count, or nothing."""
        return GROUPS[self.count][0] if self.count else ""

    @property
    def only_word(self) -> str:
        """The word of the filter of another app, or nothing."""
        return further.ONLY[self.only].word if self.only else ""

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
        return [word for word in (self.only_word, self.group, self.word) if word] + chosen

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search or self.filters)

    @property
    def states(self) -> list[str]:
        """The states that the chosen status and count leave; none: all of them."""
        of_count = [str(state) for state in GROUPS[self.count][1]] if self.count else []
        if not self.status:
            return of_count
        return [self.status] if self.status in of_count or not self.count else [_NO_STATE]

    def place(self, prefix: str = "") -> Q:
        """Whether a device is of the chosen kind and folder; `prefix` leads to it."""
        found = Q(**{f"{prefix}kind": self.kind}) if self.kind else Q()
        return found & within(self.folder, prefix) if self.folder else found

    def devices(self) -> Q:
        """Whether a device is of the chosen kind and folder, and has the text."""
        return self.place() & matches(self.search) if self.search else self.place()

    def order(self) -> list[str]:
        """The columns to sort by: the chosen one, and the key for those that are equal."""
        sign = "-" if self.descending else ""
        return [f"{sign}{SORTS[self.sort]}", f"{sign}{TIES[self.sort]}"]


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


def listing(
    update: SystemUpdate, query: Mapping[str, str], *, now: datetime, few: int = FEW
) -> Listing:
    """
    Return what the address `query` asks for, in a number of queries that is always the same.

    Lists of fewer than `few` rows are sorted, longer ones picked in their order: see _page.
    """
    wanted = Wanted.read(query, update, now=now)
    counts = _count(update, wanted)
    return Listing(
        wanted=wanted,
        chips=_chips(counts, wanted.status, update),
        counts=counts,
        page=_page(update, wanted, counts, query, few=few),
    )


def _page(
    update: SystemUpdate,
    wanted: Wanted,
    counts: overview.Counts,
    query: Mapping[str, str],
    *,
    few: int,
) -> paging.Page:
    """
    Return the page that is asked for.

    By name and by contact it is found through an index of the devices, where one of the next few is
    in the list. Of few rows all are sorted instead: they lie far apart there.
    """
    states = wanted.states or counts.by_state
    number = sum(counts.by_state.get(state, 0) for state in states)
    key, tie = SORTS[wanted.sort], TIES[wanted.sort]
    known = having(wanted.search, few=few)
    if wanted.sort == "changed" or number < few or known is not None:
        # Read by a query of their own, as the long list does: then all lists make as many.
        found = rows(update, wanted).select_related(None).prefetch_related("device")
        if known is not None:
            found = found.filter(device__in=listed(known))
        return paging.cut(found, query, key=key, descending=wanted.descending, tie=tie)
    held = DeviceUpdate.objects.filter(wanted.rows, update=update, device=OuterRef("pk"))
    if wanted.states:
        held = held.filter(state__in=wanted.states)
    devices = Device.objects.active().filter(Exists(held), wanted.devices())
    page = paging.cut(
        devices, query, key=key.removeprefix("device__"), descending=wanted.descending
    )
    shown = update.device_updates.filter(device__in=page.rows).select_related("device")
    by_device = {row.device_id: row for row in shown}
    return replace(
        page, rows=[by_device[device.pk] for device in page.rows if device.pk in by_device]
    )


def rows(update: SystemUpdate, wanted: Wanted) -> "QuerySet[DeviceUpdate]":
    """Return what the filters leave, unsorted; a retired device is in no list."""
    found = _placed(update, wanted).select_related("device")
    if wanted.states:
        found = found.filter(state__in=wanted.states)
    return found.filter(matches(wanted.search, "device__")) if wanted.search else found


def _placed(update: SystemUpdate, wanted: Wanted) -> "QuerySet[DeviceUpdate]":
    """The rows of the chosen kind and folder: what the chips count."""
    return update.device_updates.in_play().filter(wanted.place("device__"), wanted.rows)


def _count(update: SystemUpdate, wanted: Wanted) -> overview.Counts:
    def count() -> dict[str, int]:
        states = _placed(update, wanted).values_list("state").annotate(Count("pk"))
        return dict(states.order_by())

    key = ("devices by status", update.guid, wanted.kind, wanted.folder, wanted.only)
    return overview.Counts(counting.kept(key, count))


def _chips(counts: overview.Counts, status: str, update: SystemUpdate) -> list[Chip]:
    """One chip a status that some device has, and the chosen one in any case."""
    chips = [Chip(state, word(state, update), counts.by_state.get(state, 0)) for state in ORDER]
    return [chip for chip in chips if chip.number or chip.value == status]
