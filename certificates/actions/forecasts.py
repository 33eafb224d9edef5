"""
Making forecasts: rows in, the pure function, rows out. A worker does it, by age and by events.

A small zone is looked at anew every few seconds while an operation runs; 100,000 devices every ten
minutes, so that it takes a hundredth of a processor. A zone at rest: every hour, and when somebody
looks at a forecast that is old.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Case, CharField, Value, When

from certificates import readiness
from certificates.forecast import Candidate, Standing, forecast
from certificates.forecast import Forecast as Foreseen
from certificates.models import Forecast, Operation, Straggler
from certificates.models.operation import State
from certificates.rhythm import rhythm_of
from devices.check_ins import WEEK, CheckIns, read
from devices.models import ROOT_OF, TOP, Device, Kind, Zone, schedule_of
from zcc.ground import claims

HOUR = 3600.0
AT_REST = timedelta(hours=1)
SOONEST = timedelta(seconds=10)
COMPLETE = timedelta(minutes=1)  # when all are ready: one more may enrol, a proof may end
PER_DEVICE = timedelta(milliseconds=6)
NAMED = 2000  # stragglers are kept by name, the last ones
KEPT = 400  # points of the real curve
# A Primary Server's heartbeat is its contact.
SERVER_INTERVAL = timedelta(minutes=1)
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
# From the first moment at which it is known what is to be replicated, to the end of the overlap.
FORESEEN_STATES = (
    State.REPLICATING,
    State.ASSIGNED,
    State.ARMED,
    State.ACTIVATING,
    State.OVERLAP,
)


def due(zone: Zone, *, now: datetime) -> bool:
    """Whether a forecast of the zone is to be made; asking costs the same in any zone."""
    return any(_is_due(zone, operation, now=now) for operation in _subjects(zone))


def is_old(zone: Zone, operation: Operation | None = None, *, now: datetime) -> bool:
    """
    Whether somebody who looks at this forecast should see a newer one.

    That is sooner than one is made when nobody looks. In a large zone in which devices enrol all
    the time not each of them makes it old.
    """
    row = _row(zone, operation)
    if row is None or row.made_at is None or row.seen != _seen(zone, operation):
        return True
    age, good_for = now - row.made_at, max(COMPLETE, row.total * PER_DEVICE)
    if age >= good_for:
        return True
    return age >= max(SOONEST, good_for / 10) and row.total != _number(zone, operation)


def make(zone: Zone, *, now: datetime) -> None:
    """Make the forecasts that are due or old, unless another worker does."""
    for operation in _subjects(zone):
        if _is_due(zone, operation, now=now) or is_old(zone, operation, now=now):
            _make(zone, operation, now=now)


def _subjects(zone: Zone) -> list[Operation | None]:
    """
    What is foreseen: the operation for which devices get ready, and one that would begin now.

    During an overlap that is both: the devices of the last one still come, the next may begin.
    """
    operation = _operation(zone)
    found: list[Operation | None] = [] if operation is None else [operation]
    is_open = operation is not None and operation.is_open
    if not is_open and not Operation.objects.filter(zone=zone).open().exists():
        found.append(None)
    return found


def _is_due(zone: Zone, operation: Operation | None, *, now: datetime) -> bool:
    row = _row(zone, operation)
    if row is None:
        return True
    free = row.lease_until is None or row.lease_until <= now
    return free and (row.due_at <= now or row.seen != _seen(zone, operation))


def _make(zone: Zone, operation: Operation | None, *, now: datetime) -> None:
    found, _ = Forecast.objects.get_or_create(
        zone=zone, operation=operation, defaults={"due_at": now}
    )
    row = claims.claim(Forecast.objects.filter(pk=found.pk), now=now)
    if row is None:
        return
    seen = _seen(zone, operation)
    with claims.held(row):
        fleet = _of_operation(operation, now=now) if operation else _at_rest(zone, now=now)
        foreseen = forecast(fleet.candidates, now=_hours(now), start=_hours(fleet.starts_at))
    _store(row, fleet, foreseen, seen=seen, now=now)


def _operation(zone: Zone) -> Operation | None:
    """The newest operation for which devices get ready; with its update closed none does."""
    rows = Operation.objects.filter(zone=zone, state__in=FORESEEN_STATES)
    newest = rows.select_related("update").order_by("pk").last()
    return None if newest is None or newest.update.is_closed else newest


def _row(zone: Zone, operation: Operation | None) -> Forecast | None:
    return Forecast.objects.filter(zone=zone, operation=operation).defer(*_CURVES).first()


_CURVES = ("expected", "planned", "real", "probable", "probable_mobiles")


def _seen(zone: Zone, operation: Operation | None) -> str:
    """What a forecast depends on besides time: an event changes it."""
    if operation is not None:
        return f"{operation.state} {operation.update.wave}"
    newest = Device.objects.filter(zone=zone).order_by("-pk").values_list("pk", flat=True).first()
    return f"{newest}"


def _number(zone: Zone, operation: Operation | None) -> int:
    """How many devices the forecast is about."""
    if operation is not None and operation.update.is_assigned:
        return readiness.counted(operation).count()
    return Device.objects.filter(zone=zone).active().count()


@dataclass
class Fleet:
    """What goes into a forecast, and which of its devices are mobiles."""

    starts_at: datetime
    candidates: list[Candidate] = field(default_factory=list)
    mobiles: set[int] = field(default_factory=set)


_COLUMNS = (
    "pk",
    "check_ins",
    "refresh_interval",
    "enrolled_at",
    "last_contact_at",
    "folder",
    "kind",
)


def _at_rest(zone: Zone, *, now: datetime) -> Fleet:
    fleet = Fleet(readiness.starts_at_rest(zone, now=now))
    rows = Device.objects.filter(zone=zone).active().values_list(*_COLUMNS)
    _fill(fleet, zone, ((*row, Standing.WAITING) for row in rows.iterator()))
    return fleet


def _of_operation(operation: Operation, *, now: datetime) -> Fleet:
    if not operation.update.is_assigned:
        return _replace_start(
            _at_rest(operation.zone, now=now), readiness.starts_at(operation, now=now)
        )
    fleet = Fleet(readiness.starts_at(operation, now=now))
    standing = Case(
        When(readiness.is_ready(operation), then=Value(Standing.READY.name)),
        When(readiness.is_stuck(operation), then=Value(Standing.STUCK.name)),
        default=Value(Standing.WAITING.name),
        output_field=CharField(),
    )
    rows = readiness.counted(operation).annotate(standing=standing)
    columns = [f"device__{name}" for name in _COLUMNS]
    found = rows.values_list(*columns, "standing").iterator()
    _fill(fleet, operation.zone, ((*row[:-1], Standing[row[-1]]) for row in found))
    return fleet


def _replace_start(fleet: Fleet, at: datetime) -> Fleet:
    return Fleet(at, fleet.candidates, fleet.mobiles)


def _fill(fleet: Fleet, zone: Zone, rows: Iterable[tuple[Any, ...]]) -> None:
    usual = _usual_interval(zone)
    for pk, record, interval, enrolled_at, last_contact_at, folder, kind, standing in rows:
        fleet.candidates.append(
            Candidate(
                pk,
                read(record),
                (interval or usual(kind, folder)).total_seconds() / HOUR,
                _hours(enrolled_at),
                _hours(last_contact_at or enrolled_at),
                standing,
            )
        )
        if kind == Kind.MOBILE:
            fleet.mobiles.add(pk)


def _usual_interval(zone: Zone) -> Callable[[str, str], timedelta]:
    """How often a device of a kind in a folder refreshes that has no schedule of its own."""
    intervals = zone.folders.intervals()

    @cache
    def usual(kind: str, folder: str) -> timedelta:
        if kind == Kind.PRIMARY_SERVER:
            return SERVER_INTERVAL
        path = ROOT_OF[kind] if folder == TOP else folder
        return schedule_of(path, zone, intervals).interval

    return usual


def _hours(at: datetime) -> float:
    return at.timestamp() / HOUR


@transaction.atomic
def _store(row: Forecast, fleet: Fleet, foreseen: Foreseen, *, seen: str, now: datetime) -> None:
    """Write what was foreseen, guarded by the claim."""
    expected = _thinned([[at * HOUR, round(number, 2)] for at, number in foreseen.points])
    dates = foreseen.due
    waiting_mobiles = {key: at for key, at in dates.items() if key in fleet.mobiles}
    real = _with_point(
        _scaled(row.real, of=row.total, to=foreseen.total), now, float(foreseen.ready)
    )
    facts = {
        "made_at": now,
        "due_at": now + _until_next(row, foreseen, now=now),
        "seen": seen,
        "starts_at": fleet.starts_at,
        "total": foreseen.total,
        "ready": foreseen.ready,
        "without_date": sum(at is None for at in dates.values()),
        # Of an operation: at planning, like the curve that is compared with what comes.
        "by_schedule": row.by_schedule if row.planned else foreseen.by_schedule,
        "expected": expected,
        "planned": row.planned or expected,
        "planned_total": row.planned_total if row.planned else foreseen.total,
        "real": real if row.operation_id else [],
        "probable": _steps(dates, already=foreseen.total - len(dates)),
        "probable_mobiles": _steps(
            waiting_mobiles, already=len(fleet.mobiles) - len(waiting_mobiles)
        ),
        "mobiles": len(fleet.mobiles),
    }
    if not row.operation_id:
        facts["planned"] = []
    if claims.mine(row).update(**facts, claim_id=None, lease_until=None):
        _store_stragglers(row, fleet.candidates, dates, now=now)


def _until_next(row: Forecast, foreseen: Foreseen, *, now: datetime) -> timedelta:
    """Return how long this forecast is good for: longer in a large zone, and as time goes by."""
    if row.operation_id is None:
        return AT_REST
    soonest = COMPLETE if foreseen.ready == foreseen.total else SOONEST
    began = row.planned[0][0] if row.planned else now.timestamp()
    by_age = timedelta(seconds=max(now.timestamp() - began, 0) / 100)
    return min(max(soonest, foreseen.total * PER_DEVICE, by_age), AT_REST)


def _steps(dates: dict[int, float | None], *, already: int) -> list[list[float]]:
    """Return the curve of how many are more likely ready than not, an hour a step at most."""
    steps: dict[float, int] = {}
    for at in dates.values():
        if at is not None:
            steps[at] = steps.get(at, 0) + 1
    number, found = already, [[0.0, float(already)]]
    for at in sorted(steps):
        number += steps[at]
        found.append([at * HOUR, float(number)])
    return found


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Leave out what lies level between its neighbours: nights, weekends, the end."""
    kept = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [*points[:1], *kept, *points[-1:]]


def _scaled(real: list[list[float]], *, of: int, to: int) -> list[list[float]]:
    """Return the real curve for another number of devices, with the shares that it had."""
    if of == to or not of or not to:
        return real
    return [[at, number * to / of] for at, number in real]


def _with_point(real: list[list[float]], now: datetime, ready: float) -> list[list[float]]:
    """Return the real curve with one more point; too long a one loses every second point."""
    if real and len(real) > 1 and real[-1][1] == real[-2][1] == ready:
        real = real[:-1]
    longer = [*real, [now.timestamp(), ready]]
    return longer if len(longer) <= KEPT else [*longer[:-1:2], longer[-1]]


def _store_stragglers(
    row: Forecast,
    candidates: Sequence[Candidate],
    dates: dict[int, float | None],
    *,
    now: datetime,
) -> None:
    """Keep by name those that are expected last."""
    rhythms: dict[int, CheckIns | None] = {one.key: one.check_ins for one in candidates}
    last = sorted(dates.items(), key=lambda item: (item[1] is not None, -(item[1] or 0), item[0]))
    row.stragglers.all().delete()
    Straggler.objects.bulk_create(
        Straggler(
            forecast_id=row.pk,
            device_id=key,
            expected_at=None if at is None else datetime.fromtimestamp(at * HOUR, UTC),
            usually=_usually(rhythms[key], this_hour=int(_hours(now))),
        )
        for key, at in islice(last, NAMED)
    )


def _usually(record: CheckIns | None, *, this_hour: int) -> str:
    """Return the words for a device's rhythm; a habit is not claimed before a week is known."""
    if record is None or this_hour - record.known_from < WEEK:
        return ""
    return rhythm_of(record).words
