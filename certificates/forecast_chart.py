"""Where the lines, dots and words of the forecast's chart stand: `svg.z-fore`."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.utils import timezone

from certificates.models import Forecast, Operation
from zcc.templatetags.times import span

BOTTOM, TOP = 240.0, 20.0  # of 0 % and of 99.99 %
# "Grid lines at 0, 90, 99, 99.9, 99.99 %: the tail is what matters." (the design)
GRID = {"0 %": 0.0, "90 %": 0.9, "99 %": 0.99, "99.9 %": 0.999, "99.99 %": 0.9999}
TENFOLD = (BOTTOM - TOP) / 4
TICKS = 5
POINTS = 160  # of a line
BEYOND = 1.16  # the chart goes on a little after the last thing in it: words stand there
AT_LEAST = timedelta(minutes=2)


class Reached(Protocol):
    """A share of devices and when it was reached."""

    @property
    def share(self) -> str: ...
    @property
    def real(self) -> datetime | None: ...


def height(share: float) -> float:
    """Return the place of a share: each grid line has ten times fewer devices missing."""
    missing = max(1 - share, 1e-4)
    return round(BOTTOM + TENFOLD * math.log10(missing), 1)


@dataclass(frozen=True)
class Mark:
    """A word at a place: x in percent, y in pixels."""

    x: float
    y: float
    text: str
    anchor: str = "start"


class Chart:
    """The chart of one operation, from its beginning to a little after all that is in it."""

    def __init__(
        self, forecast: Forecast, operation: Operation, rows: Sequence[Reached], *, now: datetime
    ) -> None:
        self.forecast, self.operation, self.now = forecast, operation, now
        self.reached = rows
        self.start = operation.created_at
        last = max(operation.activate_at, now, self.start + AT_LEAST)
        self.end = self.start + (last - self.start) * BEYOND

    def x(self, at: datetime) -> float:
        """Return the place of an instant in percent, inside the chart."""
        part = (at - self.start) / (self.end - self.start)
        return round(min(max(part, 0.0), 1.0) * 100, 2)

    @property
    def grid(self) -> list[Mark]:
        return [Mark(100, height(share), text) for text, share in GRID.items()]

    @property
    def ticks(self) -> list[Mark]:
        step = (self.end - self.start) / (TICKS - 1)
        form = "%H:%M" if self.end - self.start < timedelta(days=2) else "%-d %b"
        found = []
        for number in range(TICKS):
            at = timezone.localtime(self.start + number * step)
            anchor = {0: "start", TICKS - 1: "end"}.get(number, "middle")
            found.append(Mark(100 * number / (TICKS - 1), BOTTOM, f"{at:{form}}", anchor))
        return found

    @property
    def expected(self) -> str:
        """The points of the expected line, in thousandths of the width."""
        return self._line(self.forecast.planned, of=self.forecast.planned_total)

    @property
    def real(self) -> str:
        return self._line(self.forecast.real)

    def _line(self, curve: Any, *, of: int = 0) -> str:
        begin, end = self.start.timestamp(), self.end.timestamp()
        inside = [(at, number) for at, number in curve if at <= end]
        width = end - begin
        return " ".join(
            f"{max(at - begin, 0) / width * 1000:.1f},{height(self._share(number, of=of))}"
            for at, number in _fewer(inside)
        )

    def _share(self, number: float, *, of: int = 0) -> float:
        total = of or self.forecast.total
        return min(number / total, 1.0) if total else 0.0

    @property
    def activation(self) -> float:
        return self.x(self.operation.activate_at)

    @property
    def activation_is_late(self) -> bool:
        """Whether its words have more room on the left."""
        return self.activation > 70

    @property
    def dots(self) -> list[Mark]:
        """Where 50, 90 and 99 % were reached."""
        shares = zip(self.reached, (0.5, 0.9, 0.99), strict=False)
        marks = [(row, share) for row, share in shares if row.real is not None]
        return [
            Mark(self.x(row.real), height(share), f"{row.share}: {self._when(row.real)}")
            for row, share in marks
            if row.real is not None
        ]

    @property
    def present(self) -> Mark:
        """Where it stands now."""
        share = self._share(self.forecast.ready)
        x = self.x(self.now)
        anchor = "end" if x > 85 else "start" if x < 15 else "middle"
        return Mark(x, height(share), f"Now: {percent(share)}", anchor)

    def _when(self, at: datetime) -> str:
        here = timezone.localtime(at)
        if self.end - self.start < timedelta(days=2):
            return f"{here:%H:%M}"
        return f"{here.day} {here:%b, %H:%M}"

    @property
    def label(self) -> str:
        """What the chart says, for who does not see it."""
        dots = "; ".join(mark.text for mark in self.dots)
        planned = f"activation {self._when(self.operation.activate_at)}"
        reached = f"Reached: {dots}. " if dots else ""
        length = span(self.end - self.start)
        return (
            f"Share of ready devices over {length}. {reached}{self.present.text}; {planned}. "
            "The table has the same dates."
        )


def percent(share: float) -> str:
    """Return a share with as many digits as the tail needs, rounded down."""
    for digits in (0, 1, 2):
        if share < 1 - 10 ** -(digits + 2) or digits == 2:
            factor = 10**digits
            cut = math.floor(share * 100 * factor + 1e-9) / factor
            return "100 %" if share >= 1 else f"{cut:.{digits}f} %"
    raise AssertionError("unreachable")


def _fewer(points: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Return at most about POINTS of them, the last one always."""
    step = len(points) // POINTS + 1
    return [*points[:-1:step], *points[-1:]]
