"""The audit log as its page shows it: what the address asks for, and where each event leads."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.urls import reverse

from devices.listing import Choice
from zcc.ground import paging
from zcc.ground.models import AuditEvent

KINDS = {
    "device": "Devices",
    "folder": "Folders",
    "zone": "The zone",
    "registrationkey": "Registration keys",
    "enrolmentlink": "Enrolment links",
    "deploymentstage": "Deployment stages",
    "systemupdate": "System updates",
    "operation": "CA operations",
    "rehearsal": "Rehearsals",
    "user": "Signing in and out",
}
# Where subjects are that are never deleted; any other is told of by its own events alone.
_PAGES = {
    "device": "devices:summary",
    "systemupdate": "systemupdates:status_by_device",
    "operation": "certificates:operation",
    "rehearsal": "certificates:rehearsal",
}
SOFTWARE = "software"


@dataclass(frozen=True)
class AuditLog:
    """What the page shows."""

    search: str
    choices: list[Choice]
    of: AuditEvent | None  # the last event of the one subject that is asked for, if any
    page: paging.Page

    @property
    def filters(self) -> list[str]:
        """The filters that are on, in words."""
        return [f"{choice.label} {choice.chosen}" for choice in self.choices if choice.chosen]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.search or self.filters or self.of)

    @property
    def rows(self) -> list[tuple[AuditEvent, str]]:
        """The events, each with the address of its subject."""
        return [(event, _address(event)) for event in self.page.rows]


def read(query: Mapping[str, str]) -> AuditLog:
    """Return what the address `query` asks for; what it asks wrongly is left out."""
    kind = Choice("kind", "What:", KINDS, query.get("kind", ""))
    people = {str(user.pk): user.get_full_name() or user.username for user in User.objects.all()}
    who = Choice("by", "By:", {**people, SOFTWARE: "the software"}, query.get("by", ""))
    search, number = query.get("q", "").strip(), query.get("of", "")
    rows = AuditEvent.objects.select_related("by")
    of = None
    if kind.chosen:
        rows = rows.filter(kind=kind.value)
        if number.isascii() and number.isdigit() and len(number) < 18:
            rows = rows.filter(subject_id=int(number))
            of = rows.order_by("at", "pk").last()
    if who.chosen:
        is_software = who.value == SOFTWARE  # who failed to sign in is nobody, but no software
        rows = (
            rows.filter(by=None).exclude(kind="user")
            if is_software
            else rows.filter(by=int(who.value))
        )
    if search:
        rows = rows.filter(subject__icontains=search)
    elif not kind.chosen:
        rows = rows.filter(is_part=False)
    page = paging.cut(rows, query, key="at", descending=True)
    return AuditLog(search, [kind, who], of, page)


def _address(event: AuditEvent) -> str:
    if page := _PAGES.get(event.kind):
        return reverse(page, args=[event.subject_id])
    return f"{reverse('audit_log')}?kind={event.kind}&of={event.subject_id}"
