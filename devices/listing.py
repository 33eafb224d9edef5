"""The devices list: what its address asks for, turned into a fixed number of queries."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from devices.models import (
    MOBILE_DEVICES,
    ROOTS,
    SERVERS,
    WORKSTATIONS,
    Device,
    Folder,
    Kind,
    within,
)
from zcc.ground import counting, paging

# A device never heard of sorts as the one silent for longest.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

FOLDERS = {
    "": ("All", list(Kind)),
    "servers": ("Servers", [Kind.PRIMARY_SERVER, Kind.SERVER]),
    "workstations": ("Workstations", [Kind.WORKSTATION]),
    "mobile": ("Mobile Devices", [Kind.MOBILE]),
    "retired": ("Retired", list(Kind)),
}
TAB_ROOTS = {"servers": SERVERS, "workstations": WORKSTATIONS, "mobile": MOBILE_DEVICES}
ROLES = {
    "primary": ("Primary Server", Q(kind=Kind.PRIMARY_SERVER)),
    "authentication": ("Authentication Satellite", Q(is_authentication_satellite=True)),
    "content": ("Content Satellite", Q(is_content_satellite=True)),
    "test": ("Test device", Q(is_test=True)),
}
SILENCES = {
    "day": ("within 24 h", timedelta(days=1)),
    "silent": ("not for 24 h", timedelta(days=1)),
    "long": ("not for 30 days", timedelta(days=30)),
}
TRUST_SET = re.compile("[0-9a-f]{32}")  # Device.trust_set
SORTS = {"name": "name", "contact": "contact"}


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
    def is_narrowed(self) -> bool:
        return bool(self.search or self.filters)


def listing(query: Mapping[str, str], *, now: datetime) -> Listing:
    """Return what the address `query` asks for; what it asks wrongly is left out."""
    folder = query.get("folder", "")
    folder = folder if folder in FOLDERS else ""
    search = query.get("q", "").strip()
    inside = _inside(query, folder)
    choices = [_role(query), _contact(query), *_trust(query)]
    wanted = query.get("sort", "name")
    sort = SORTS.get(wanted.removeprefix("-"), "name")
    descending = wanted.startswith("-")
    rows = _narrow(_in_folder(folder), search, choices, now)
    if inside.chosen:
        rows = rows.filter(within(inside.value))
    rows = rows.annotate(contact=Coalesce("last_contact_at", Value(NEVER)))
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


def _role(query: Mapping[str, str]) -> Choice:
    options = {value: label for value, (label, _) in ROLES.items()}
    return Choice("role", "Role:", options, query.get("role", ""))


def _contact(query: Mapping[str, str]) -> Choice:
    options = {value: label for value, (label, _) in SILENCES.items()}
    return Choice("contact", "Last contact:", options, query.get("contact", ""))


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
    role, contact, *trust = choices
    if trust:
        rows = rows.filter(trust_set=trust[0].value)
    if search:
        rows = rows.filter(matches(search))
    if role.chosen:
        rows = rows.filter(ROLES[role.value][1])
    if contact.chosen:
        since = now - SILENCES[contact.value][1]
        heard = Q(last_contact_at__gt=since)
        rows = rows.filter(heard if contact.value == "day" else ~heard | Q(last_contact_at=None))
    return rows


def matches(search: str, prefix: str = "") -> Q:
    """Name, DNS name, address or GUID; `prefix` leads to the device ("device__")."""
    found = Q()
    for column in ("name", "dns_name", "addresses"):
        found |= Q(**{f"{prefix}{column}__icontains": search})
    try:
        return found | Q(**{f"{prefix}guid": uuid.UUID(search)})
    except ValueError:
        return found


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
