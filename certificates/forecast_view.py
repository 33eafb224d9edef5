"""What the pages say of a forecast: who would miss a date, and when how many are ready."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)

from certificates import guard, readiness
from certificates.forecast_chart import Chart
from certificates.models import Forecast, Operation, Straggler
from devices.models import Kind, Zone
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import APPLIED_STATES
from systemupdates.models.device_update import State as UpdateState
from zcc.templatetags.numbers import count
from zcc.templatetags.times import ago_text, moment_text, span

SHOWN = 6
SHARES = (0.5, 0.9, 0.99, 1)
# Who was heard of within this time is here now.
JUST = timedelta(minutes=1)
# How a rhythm (certificates.rhythm) is said.
HABITS = {
    "every day": "Usually here every day.",
    "working days": "Usually here on working days.",
    "some days": "Usually here on some days of a week.",
    "rarely": "Rarely here.",
}
UNKNOWN = "There is too little history to say when it is usually here."
NOTHING_TO_PROVE = "No server has its certificate yet."
# How much later `Postpone` offers, and what it compares.
LATER = {1: "1 day", 3: "3 days", 7: "1 week", 14: "2 weeks"}


class Cause(StrEnum):
    """Why a device is late, for a sentence about several."""

    UPDATE_FAILED = "the update failed"
    PROOF_FAILED = "the proof failed"
    CERTIFICATE = "a server has no certificate yet"
    TOO_LATE = "expected too late"
    NOT_SEEN = "not seen for too long"


def at_rest(zone: Zone) -> Forecast | None:
    """Return what is foreseen for an operation that would begin now."""
    return Forecast.objects.filter(zone=zone, operation=None, made_at__isnull=False).first()


def of_operation(operation: Operation) -> Forecast | None:
    found = Forecast.objects.filter(operation=operation, made_at__isnull=False).first()
    if found is not None:
        found.operation = operation  # so that nobody fetches it again
    return found


def causes_of(rows: QuerySet[Any]) -> dict[Cause, int]:
    """Return how many of the rows of `after` there are by each cause."""
    counted = rows.order_by().values("cause").annotate(number=Count("pk"))
    found = {row["cause"]: row["number"] for row in counted}
    return {cause: found[cause] for cause in Cause if cause in found}


def joined(causes: Iterable[str]) -> str:
    """Return "not seen for too long, or the update failed"."""
    return ", or ".join(causes)


@dataclass(frozen=True)
class Name:
    """One device that would probably miss a date, and what is known of its habits."""

    straggler: Any  # a row of `after`
    now: datetime

    @property
    def icon(self) -> str:
        kinds = {"mobile": "phone", "server": "hdd-stack", "primary": "hdd-stack"}
        return kinds.get(self.straggler.device.kind, "laptop")

    @property
    def reason(self) -> str:
        """Say for how long it has been silent, and why it is listed all the same if it has not."""
        seen = self.straggler.device.last_contact_at
        if seen is None:
            return "Not heard of yet."
        silence = " ".join(span(max(self.now - seen, timedelta())).split(" ")[:2])
        if why := self._why_although_seen(seen):
            return f"Seen {silence} ago. {why}"
        return f"Not seen for {silence}. {self._habit}"

    @property
    def brief(self) -> str:
        """The same where there is little room: what is not known or does not matter is left out."""
        if self._can_prove_nothing:
            return NOTHING_TO_PROVE
        return self.reason.removesuffix(f" {UNKNOWN}")

    def _why_although_seen(self, seen: datetime) -> str:
        """Why a device that comes is late; nothing if it is late because it has not come."""
        expected, state = self.straggler.expected_at, self.straggler.update_state
        if state == UpdateState.FAILED:
            return "Its update failed."
        if self._can_prove_nothing:
            return f"{NOTHING_TO_PROVE} It has nothing to prove itself by."
        if self.straggler.problem:
            return f"Its proof failed: {self.straggler.problem}"
        if state in APPLIED_STATES:
            return "Its new certificate is not there yet."
        if expected is not None and expected > self.now:
            return self._expected(expected)
        if state and seen > self.straggler.made_at:
            return f"Its update is still at {UpdateState(state).label}."
        if self.now - seen < JUST:
            return "Devices like it are often away for weeks."
        return ""

    def _expected(self, at: datetime) -> str:
        """What is waited for: a contact, or first the content, without which none counts."""
        habit = f" {self._habit}" if self.straggler.usually else ""
        content = self.straggler.starts_at
        if content is None or content <= self.now:
            return f"It is expected again by {moment_text(at)}.{habit}"
        waits = f"The content comes by {moment_text(content)}"
        if at - content < JUST:
            return f"{waits}."
        return f"{waits}; it is expected after that by {moment_text(at)}.{habit}"

    @property
    def _can_prove_nothing(self) -> bool:
        """Whether it has done its part, and waits for the servers like all others."""
        device = self.straggler.device
        lacks_its_own = device.is_primary_server or device.is_authentication_satellite
        return self.straggler.cause == Cause.CERTIFICATE and not lacks_its_own

    @property
    def _habit(self) -> str:
        if not self.straggler.usually:
            return UNKNOWN
        return HABITS[self.straggler.usually]


class Misses:
    """Who would probably miss a date, by a forecast."""

    def __init__(self, forecast: Forecast, at: datetime, *, now: datetime) -> None:
        self.forecast, self.at, self.now = forecast, at, now

    @cached_property
    def number(self) -> int:
        return max(self.forecast.missing_at(self.at) - self._no_more().count(), 0)

    @cached_property
    def mobiles(self) -> int:
        gone = self._no_more().filter(device__kind=Kind.MOBILE).count()
        return max(self.forecast.mobiles_missing_at(self.at) - gone, 0)

    @property
    def others(self) -> int:
        """How many are no mobiles."""
        return self.number - self.mobiles

    @property
    def by_chance(self) -> int:
        """How many more are expected to be late, whom nobody can name."""
        return max(self.forecast.late_at(self.at) - self.number, 0)

    @property
    def names(self) -> list[Name]:
        """The first of them: those without a date, then the latest."""
        return [Name(row, self.now) for row in self.rows()[:SHOWN]] if self.number else []

    def rows(self) -> QuerySet[Straggler]:
        """Those who are late by what is known now: who has come since is not."""
        late = after(self.forecast, self.at).exclude(pk__in=self._no_more().values("pk"))
        return late.select_related("device")

    def _no_more(self) -> QuerySet[Straggler]:
        """Those the forecast named who have left since, or come: ones not seen, or to get ready."""
        late = self.forecast.stragglers.exclude(expected_at__lte=self.at)
        left = Q(device__retired_at__isnull=False)
        operation = self.forecast.operation
        if operation is not None and operation.update.is_assigned:
            still = unready(late, operation).exclude(left)
            return late.exclude(pk__in=still.values("pk"))
        come = Q(expected_at=None, device__last_contact_at__gt=self.forecast.made_at)
        return late.filter(left | come)

    @property
    def basis(self) -> str:
        return basis(self.forecast)


def after(forecast: Forecast, at: datetime) -> QuerySet[Straggler]:
    """The stragglers that are expected after a date or have none, the worst first."""
    rows = forecast.stragglers.filter(device__retired_at=None).exclude(expected_at__lte=at)
    updates = Operation.objects.filter(forecast=forecast).values("update")
    own = DeviceUpdate.objects.filter(update__in=updates, device=OuterRef("device"))
    rows = rows.annotate(
        problem=Subquery(own.values("proof_problem")[:1]),
        update_state=Subquery(own.values("state")[:1]),
        made_at=F("forecast__made_at"),
        starts_at=F("forecast__starts_at"),
    )
    rows = rows.annotate(cause=_cause(forecast.operation))
    return rows.order_by(F("expected_at").desc(nulls_first=True), "device__name")


def _cause(operation: Operation | None) -> Case:
    """
    Return what makes a straggler late, for rows with `problem` and `update_state`.

    While no server shows its certificate no device can prove anything: that alone is the cause.
    Before the assignment nobody is late for want of one.
    """
    lacks = proofless = Q(pk=None)
    if operation is not None and operation.is_to_external:
        servers = readiness.without_certificate(operation).values("device")
        lacks = Q(device__in=servers, update_state__isnull=False)
    if operation is not None:
        proofless = Q(~Exists(operation.servers.exclude(staged_at=None)))
    has_problem = Q(problem__gt="")
    return Case(
        When(update_state=UpdateState.FAILED, then=Value(Cause.UPDATE_FAILED)),
        When(lacks | (has_problem & proofless), then=Value(Cause.CERTIFICATE)),
        When(has_problem, then=Value(Cause.PROOF_FAILED)),
        When(expected_at__isnull=False, then=Value(Cause.TOO_LATE)),
        default=Value(Cause.NOT_SEEN),
        output_field=CharField(),
    )


def unready(rows: QuerySet[Straggler], operation: Operation) -> QuerySet[Straggler]:
    """
    Those that have not become ready since the forecast was made, nor left the count.

    Each is looked up: a list of who is ready would cost what the zone has in devices.
    """
    own = DeviceUpdate.objects.filter(update=operation.update_id, device=OuterRef("device"))
    ready = own.filter(state__in=[*APPLIED_STATES, "ignored"]).filter(proof_problem="")
    servers = readiness.without_certificate(operation).values("device")
    return rows.exclude(Exists(ready.exclude(device__in=servers)))


def basis(forecast: Forecast) -> str:
    """Say what the forecast was made from."""
    if forecast.by_schedule == 0:
        return "from their check-in history"
    if forecast.by_schedule >= _coming(forecast):
        return "from their refresh schedules: there is no week of check-in history yet"
    schedules = count(forecast.by_schedule, "device")
    return f"from their check-in history; {schedules} from the refresh schedule alone"


def _coming(forecast: Forecast) -> float:
    """How many there were to be foreseen; of an operation those that were to come, at planning."""
    if not forecast.planned:
        return forecast.total
    return float(forecast.planned[-1][1] - forecast.planned[0][1])


@dataclass(frozen=True)
class Row:
    """When a share of all devices was expected to be ready, and when it was or is now."""

    share: str
    expected: datetime | None
    real: datetime | None
    now_expected: datetime | None


class Outlook:
    """The pane `Forecast` of an operation."""

    def __init__(self, forecast: Forecast, operation: Operation, *, now: datetime) -> None:
        self.forecast, self.operation, self.now = forecast, operation, now

    @property
    def age(self) -> str:
        assert self.forecast.made_at is not None
        return ago_text(self.now - self.forecast.made_at)

    @property
    def basis(self) -> str:
        return basis(self.forecast)

    @cached_property
    def rows(self) -> list[Row]:
        found = self.forecast
        return [
            Row(
                f"{share:.0%}".replace("%", " %"),
                found.reached(found.planned, share, of=found.planned_total),
                found.really_reached(share),
                found.reached(found.expected, share),
            )
            for share in SHARES
        ]

    @cached_property
    def undated(self) -> list[Straggler]:
        """The devices because of which 100 % has no date; six at most."""
        rows = self._undated().select_related("device").order_by("device__name")
        return list(rows[:SHOWN])

    def _undated(self) -> QuerySet[Any]:
        return unready(after(self.forecast, self.now), self.operation).filter(expected_at=None)

    @cached_property
    def _causes(self) -> dict[Cause, int]:
        """How many of them there are by each cause; those who have come since are none of them."""
        return causes_of(self._undated())

    @cached_property
    def without_date(self) -> int:
        """How many there are now, those included whom the forecast does not keep by name."""
        named = self.forecast.stragglers.filter(expected_at=None).count()
        return sum(self._causes.values()) + max(self.forecast.without_date - named, 0)

    @property
    def more_undated(self) -> int:
        return max(self.without_date - len(self.undated), 0)

    @property
    def waits_for_certificates(self) -> bool:
        """Whether the certificates of an external CA are the one thing that is missing."""
        return list(self._causes) == [Cause.CERTIFICATE]

    @property
    def why_undated(self) -> str:
        return joined(self._causes)

    @cached_property
    def chart(self) -> Chart:
        return Chart(self.forecast, self.operation, self.rows, now=self.now)


@dataclass(frozen=True)
class Then:
    """What would be at another date: how many lost, and how many ready."""

    at: datetime
    lost: int
    percent: int
    is_chosen: bool


def lost_at(operation: Operation, chosen: datetime, *, now: datetime) -> list[Then]:
    """Return who would be lost at the date that is planned, at the chosen one, and later."""
    forecast = of_operation(operation)
    if forecast is None:
        return []
    dates = {operation.activate_at, chosen, *(chosen + timedelta(days=days) for days in (7, 14))}
    lost = guard.lost(operation)
    return [
        Then(at, _lost(forecast, operation, lost, at), _percent(forecast, at), at == chosen)
        for at in sorted(date for date in dates if date > now)
    ]


def _lost(forecast: Forecast, operation: Operation, lost: QuerySet, at: datetime) -> int:  # type: ignore[type-arg]
    """Of those who would be lost now, the ones who are not expected by then."""
    if operation.is_strict:
        return forecast.missing_at(at)
    late = unready(after(forecast, at), operation)
    return lost.filter(pk__in=late.values("device")).count()


def _percent(forecast: Forecast, at: datetime) -> int:
    ready = forecast.total - max(forecast.late_at(at), 0)
    return ready * 100 // forecast.total if forecast.total else 0
