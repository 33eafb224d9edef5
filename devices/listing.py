"""The devices list: what its address asks for, turned into a fixed number of queries."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.urls import reverse

from devices import search_index
from devices.models import (
    MOBILE_DEVICES,
    ROOTS,
    SERVERS,
    WORKSTATIONS,
    Device,
    Folder,
    Kind,
    Zone,
    within,
)
from devices.standing import meaning_for_all, silent
from zcc.ground import counting, paging
from zcc.ground.many import listed
from zcc.templatetags.times import moment_text

FOLDERS = {
    "": ("All", list(Kind)),
    "servers": ("Servers", [Kind.PRIMARY_SERVER, Kind.SERVER]),
    "workstations": ("Workstations", [Kind.WORKSTATION]),
    "mobile": ("Mobile Devices", [Kind.MOBILE]),
    "retired": ("Retired", list(Kind)),
}
TAB_ROOTS = {"servers": SERVERS, "workstations": WORKSTATIONS, "mobile": MOBILE_DEVICES}
ROLES = {
    # Written out: SQLite finds the index of the few only by what stands in the statement.
    "primary": ("Primary Server", Q(kind=RawSQL(f"'{Kind.PRIMARY_SERVER}'", []))),
    "authentication": ("Authentication Satellite", Q(is_authentication_satellite=True)),
    "content": ("Content Satellite", Q(is_content_satellite=True)),
    "test": ("Test device", Q(is_test=True)),
}
ROLES["any"] = (
    "Primary Server or Satellite",
    ROLES["primary"][1] | ROLES["authentication"][1] | ROLES["content"][1],
)
SILENCES = {
    "day": ("within 24 h", timedelta(days=1)),
    "not": ("not for 24 h", timedelta(days=1)),
    "long": ("not for 30 days", timedelta(days=30)),
}
# By its own schedule, as its page says it.
SILENT = "silent"
TRUST_SET = re.compile("[0-9a-f]{32}")  # Device.trust_set
SORTS = {"name": "name", "contact": "heard_at"}
# So many are sorted; of more a page is picked in its order.
FEW = 1000


@dataclass(frozen=True)
class Tab:
    """A folder with its number of devices."""

    value: str
    label: str
    number: int


@dataclass(frozen=True)
class Choice:
    """A filter as the page shows it: what can be chosen, and what is."""

    name: str
    label: str
    options: dict[str, str]
    value: str

    @property
    def chosen(self) -> str:
        return self.options.get(self.value, "")


@dataclass(frozen=True)
class Listing:
    """What the page of the devices list shows."""

    search: str
    folder: str
    sort: str
    descending: bool
    choices: list[Choice]
    tabs: list[Tab]
    page: paging.Page
    total: int  # in this folder, before search and filters

    @property
    def filters(self) -> list[str]:
        """The filters that are on, in words."""
        return [f"{choice.label} {choice.chosen}" for choice in self.choices if choice.chosen]

    @property
    def meaning(self) -> str:
        """What a word among the filters means that has to be said."""
        chosen = {choice.name: choice.value for choice in self.choices}
        return meaning_for_all() if chosen["contact"] == SILENT else ""

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search or self.filters)


def listing(query: Mapping[str, str], *, now: datetime) -> Listing:
    """Return what the address `query` asks for; what it asks wrongly is left out."""
    folder = query.get("folder", "")
    folder = folder if folder in FOLDERS else ""
    search = searched(query)
    inside = _inside(query, folder)
    choices = [_role(query), _contact(query), *_before(query), *_trust(query)]
    wanted = query.get("sort", "name")
    sort = SORTS.get(wanted.removeprefix("-"), "name")
    descending = wanted.startswith("-")
    rows = _narrow(_in_folder(folder), search, choices, now)
    if inside.chosen:
        rows = rows.filter(within(inside.value))
    tabs = _tabs()
    return Listing(
        search=search,
        folder=folder,
        sort=sort,
        descending=descending,
        choices=[inside, *choices] if inside.options else choices,
        tabs=tabs,
        page=paging.cut(rows, query, key=sort, descending=descending),
        total=next(tab.number for tab in tabs if tab.value == folder),
    )


def _inside(query: Mapping[str, str], tab: str) -> Choice:
    """The sub-folders of the chosen tab; of all three where it has none of its own."""
    rows = Folder.objects.exclude(path__in=ROOTS)
    if tab in TAB_ROOTS:
        rows = rows.filter(path__startswith=f"{TAB_ROOTS[tab]}/")
    options = {path: path for path in rows.values_list("path", flat=True)}
    return Choice("in", "Folder:", options, query.get("in", ""))


def query_of(path: str) -> str:
    """Return what the list's address says when it shows the folder `path`."""
    tab = next((tab for tab, root in TAB_ROOTS.items() if root == path), "")
    return urlencode({"folder": tab} if tab else {"in": path})


def silent_url(role: str = "") -> str:
    """Return where the devices that are silent are listed, all or those with a role."""
    query = {"contact": SILENT, "role": role} if role else {"contact": SILENT}
    return f"{reverse('devices:index')}?{urlencode(query)}"


def _role(query: Mapping[str, str]) -> Choice:
    options = {value: label for value, (label, _) in ROLES.items()}
    return Choice("role", "Role:", options, query.get("role", ""))


def _contact(query: Mapping[str, str]) -> Choice:
    options = {value: label for value, (label, _) in SILENCES.items()}
    options[SILENT] = SILENT
    return Choice("contact", "Last contact:", options, query.get("contact", ""))


def before_url(at: datetime) -> str:
    """Return where the devices are listed that have not been heard of since then."""
    return f"{reverse('devices:index')}?{urlencode({'before': at.isoformat()})}"


def _before(query: Mapping[str, str]) -> list[Choice]:
    """An instant, as a dialog links to it; it is not chosen from a list here."""
    value = query.get("before", "")
    at = _instant(value)
    return (
        [Choice("before", "Last contact:", {value: f"before {moment_text(at)}"}, value)]
        if at
        else []
    )


def _instant(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo and MINYEAR < at.year < MAXYEAR else None


def _trust(query: Mapping[str, str]) -> list[Choice]:
    """One set of CAs, as `Who can talk to whom` links to it; it is not chosen from a list here."""
    digest = query.get("trust", "")
    is_one = TRUST_SET.fullmatch(digest) is not None
    return [Choice("trust", "Trusts:", {digest: "one set of CAs"}, digest)] if is_one else []


def _in_folder(folder: str) -> "QuerySet[Device]":
    rows = Device.objects.all()
    if folder == "retired":
        return rows.exclude(retired_at=None)
    rows = rows.active()
    return rows.filter(kind__in=FOLDERS[folder][1]) if folder else rows


def _narrow(
    rows: "QuerySet[Device]", search: str, choices: list[Choice], now: datetime
) -> "QuerySet[Device]":
    role, contact, *linked = choices
    for choice in linked:
        value = choice.value
        rows = rows.filter(
            Q(trust_set=value) if choice.name == "trust" else Q(heard_at__lt=_instant(value))
        )
    if search:
        rows = rows.filter(matches(search))
        if (found := having(search)) is not None:
            rows = rows.filter(pk__in=listed(found))
    if role.chosen:
        rows = rows.filter(ROLES[role.value][1])
    if contact.value == SILENT:
        zone = Zone.objects.first()
        rows = rows.filter(silent(zone, now=now)) if zone else rows.none()
    elif contact.chosen:
        since = now - SILENCES[contact.value][1]
        heard = "heard_at__gt" if contact.value == "day" else "heard_at__lte"
        rows = rows.filter(**{heard: since})
    return rows


def searched(query: Mapping[str, str]) -> str:
    """The text that is searched for. A zero character is in no text, and no database takes one."""
    return query.get("q", "").replace("\0", "").strip()


def having(search: str, *, few: int = FEW) -> list[int] | None:
    """
    Return the primary keys of the devices that may have the text, None if nothing is asked for.

    None too if it is more than `few`, or not known: then one of the next few in any order has it.
    """
    found = search_index.numbers(search, most=few) if search else None
    if found is None or (guid := _guid(search)) is None:
        return found
    return [*found, *Device.objects.filter(guid=guid).values_list("pk", flat=True)]


def matches(search: str, prefix: str = "") -> Q:
    """Name, DNS name, address or GUID; `prefix` leads to the device ("device__")."""
    found = Q()
    for column in ("name", "dns_name", "addresses"):
        found |= Q(**{f"{prefix}{column}__icontains": search})
    guid = _guid(search)
    return found if guid is None else found | Q(**{f"{prefix}guid": guid})


def _guid(search: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(search)
    except ValueError:
        return None


def _tabs() -> list[Tab]:
    """The folders with their numbers, from one grouped query."""
    numbers = counting.kept("devices by kind", _numbers)
    return [
        Tab(
            value,
            label,
            sum(numbers.get((kind, value == "retired"), 0) for kind in kinds),
        )
        for value, (label, kinds) in FOLDERS.items()
    ]


def _numbers() -> dict[tuple[str, bool], int]:
    is_retired = ExpressionWrapper(Q(retired_at__isnull=False), output_field=BooleanField())
    rows = Device.objects.values_list("kind", is_retired).annotate(number=Count("pk")).order_by()
    return {(kind, bool(retired)): number for kind, retired, number in rows}
