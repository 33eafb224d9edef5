"""What the pages say of a forecast: who would miss a date, and when how many are ready."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import F, QuerySet

from certificates import guard
from certificates.forecast_chart import Chart
from certificates.models import Forecast, Operation, Straggler
from devices.models import Zone
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import READY_STATES
from zcc.templatetags.numbers import count
from zcc.templatetags.times import ago_text, span

SHOWN = 6
SHARES = (0.5, 0.9, 0.99, 1)
# How much later `Postpone` offers, and what it compares.
LATER = {1: "1 day", 3: "3 days", 7: "1 week", 14: "2 weeks"}


def at_rest(zone: Zone) -> Forecast | None:
    """Return what is foreseen for an operation that would begin now."""
    return Forecast.objects.filter(zone=zone, operation=None, made_at__isnull=False).first()


def of_operation(operation: Operation) -> Forecast | None:
    return Forecast.objects.filter(operation=operation, made_at__isnull=False).first()


@dataclass(frozen=True)
class Name:
    """One device that would probably miss a date, and what is known of its habits."""

    straggler: Straggler
    now: datetime

    @property
    def icon(self) -> str:
        kinds = {"mobile": "phone", "server": "hdd-stack", "primary": "hdd-stack"}
        return kinds.get(self.straggler.device.kind, "laptop")

    @property
    def reason(self) -> str:
        seen = self.straggler.device.last_contact_at
        if seen is None:
            return "not heard of yet"
        silence = span(self.now - seen).split(" ")
        usually = f"; usually {self.straggler.usually}" if self.straggler.usually else ""
        return f"not seen for {' '.join(silence[:2])}{usually}"


class Misses:
    """Who would probably miss a date, by a forecast."""

    def __init__(self, forecast: Forecast, at: datetime, *, now: datetime) -> None:
        self.forecast, self.at, self.now = forecast, at, now

    @property
    def number(self) -> int:
        return self.forecast.missing_at(self.at)

    @property
    def mobiles(self) -> int:
        return self.forecast.mobiles_missing_at(self.at)

    @property
    def by_chance(self) -> int:
        """How many more are expected to be late, whom nobody can name."""
        return max(self.forecast.late_at(self.at) - self.number, 0)

    @property
    def names(self) -> list[Name]:
        """The first of them: those without a date, then the latest."""
        return [Name(row, self.now) for row in self.rows()[:SHOWN]] if self.number else []

    def rows(self) -> QuerySet[Straggler]:
        return after(self.forecast, self.at).select_related("device")

    @property
    def basis(self) -> str:
        return basis(self.forecast)


def after(forecast: Forecast, at: datetime) -> QuerySet[Straggler]:
    """The stragglers that are expected after a date or have none, the worst first."""
    rows = forecast.stragglers.filter(device__retired_at=None).exclude(expected_at__lte=at)
    return rows.order_by(F("expected_at").desc(nulls_first=True), "device__name")


def unready(rows: QuerySet[Straggler], operation: Operation) -> QuerySet[Straggler]:
    """Those that have not become ready since the forecast was made, nor left the count."""
    done = DeviceUpdate.objects.filter(update=operation.update_id)
    ready = done.filter(state__in=[*READY_STATES, "ignored"]).filter(proof_problem="")
    return rows.exclude(device__in=ready.values("device"))


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
                found.reached(found.planned, share),
                found.reached(found.real, share),
                found.reached(found.expected, share),
            )
            for share in SHARES
        ]

    @cached_property
    def undated(self) -> list[Straggler]:
        """The devices because of which 100 % has no date; six at most."""
        rows = self.forecast.stragglers.filter(expected_at=None, device__retired_at=None)
        rows = unready(rows, self.operation).select_related("device").order_by("device__name")
        return list(rows[:SHOWN])

    @property
    def more_undated(self) -> int:
        return max(self.forecast.without_date - len(self.undated), 0)

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
