"""
The forecast: when how many devices will be ready, and who will not. Pure functions.

A device is ready after its next contact from `start` on: one contact is enough for update, proof
and report, because an agent with news calls again at once. So the question is when that contact
comes, and the answer is replayed: what happened a week ago, two, three, from the same hour of the
week on, to devices that had been silent for as long as this one is now?

* A *replay* is one device in one past week: the hours until its next contact, or until now if it
  did not come (then it is *censored*, and counts for as long as it was seen).
* Replays of the same rhythm and of the same length of silence are pooled to one survival curve. A
  laptop on Friday evening is judged by Friday evenings, one that has been away for a week by those
  that were, and the dead by the dead. The fleet's curve is the sum of the pools' curves.
* Who is named is judged by its own replays, too; its pool counts as two of them.

Days on which most devices of working people stayed away were holidays: they end a replay, and no
silence is counted on them. While a zone has less than a week of records the refresh schedule stands
in. Times are hours since 1970, as in `devices.check_ins`. How good it is, and what it cannot know:
docs/decisions/0009.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from itertools import pairwise

from certificates import holidays
from certificates.rhythm import Rhythm, rhythm_of, silence
from certificates.survival import Outlook, Replays, survival
from devices.check_ins import WEEK, WEEKS, CheckIns

HORIZON = 6 * WEEK  # what is not expected within six weeks has no date
# Lengths of silence in hours that are told apart.
SILENCES = (12, 24, 36, 48, 72, 96, 144, 216, 336, 504, 672)
BUCKETS = len(SILENCES) + 1
# A pool of fewer replays says too little; that of all rhythms is asked then.
ENOUGH = 8
# A device that calls this often and has just called will call again, whatever the hour.
PROMPT = 0.25
# Without records: one that has missed two refreshes has no date. A contact is noted to the minute.
MISSED = 2.0
SLACK = 1 / 60


class Standing(Enum):
    """How far a device is."""

    READY = "ready"
    WAITING = "its next contact makes it ready"
    STUCK = "no contact makes it ready: somebody must look at it"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One device: hours between its refreshes, when it `enrolled` and was last `heard` of."""

    key: int
    check_ins: CheckIns | None
    interval: float
    enrolled: float
    heard: float
    standing: Standing = Standing.WAITING

    def is_regular(self, now: float) -> bool:
        """Whether it has kept to its schedule."""
        return now - self.heard <= MISSED * self.interval + SLACK


@dataclass
class Forecast:
    """
    What is expected from `start` on.

    `points` are instants and the number of devices expected to be ready by then, rising; between
    two of them it is a straight line. `due` is when a device is more likely ready than not: None
    if that does not come within the horizon.
    """

    start: float
    total: int
    ready: int
    points: list[tuple[float, float]] = field(default_factory=list)
    due: dict[int, float | None] = field(default_factory=dict)
    by_schedule: int = 0

    def at(self, hour: float) -> float:
        """Return how many devices are expected to be ready at `hour`."""
        return between(self.points, hour)

    def reached(self, share: float) -> float | None:
        """Return when `share` of all devices are ready; 1: when less than half a one is missing."""
        wanted = self.total - 0.5 if share == 1 else share * self.total
        return crossing(self.points, wanted)


def between(points: Sequence[tuple[float, float]], at: float) -> float:
    """Return the height of the line through `points` at `at`."""
    place = bisect_right(points, at, key=lambda point: point[0])
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (t0, y0), (t1, y1) = points[place - 1], points[place]
    return y0 + (y1 - y0) * (at - t0) / (t1 - t0)


def crossing(points: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """Return where the rising line through `points` comes to `wanted`; None if it never does."""
    if points[0][1] >= wanted:
        return points[0][0]
    for (t0, y0), (t1, y1) in pairwise(points):
        if y1 >= wanted:
            return t0 + (t1 - t0) * (wanted - y0) / (y1 - y0)
    return None


def forecast(candidates: Sequence[Candidate], *, now: float, start: float) -> Forecast:
    """Return what is expected of `candidates` from `start` on, by what is known at `now`."""
    fleet, schedule = Fleet(candidates, now=now, start=start), Schedule(start)
    counts = Counter(one.standing for one in candidates)
    found = Forecast(start, total=len(candidates), ready=counts[Standing.READY])
    pools: Counter[int] = Counter()
    for one in candidates:
        if one.standing is Standing.STUCK:
            found.due[one.key] = None
        elif one.standing is Standing.WAITING:
            pool = None if fleet.is_prompt(one) else fleet.pool(one)
            if pool is None:
                found.due[one.key] = schedule.add(one, now=now)
            else:
                pools[pool] += 1
                found.due[one.key] = fleet.due(one, pool)
    found.by_schedule = schedule.number
    reachable = found.total - counts[Standing.STUCK]
    found.points = _points(fleet, pools, schedule, reachable)
    return found


def _points(
    fleet: "Fleet", pools: Counter[int], schedule: "Schedule", reachable: int
) -> list[tuple[float, float]]:
    """Return the curve: its height at the end of each hour, and where a schedule bends it."""
    missing = [(fleet.start, float(pools.total()))]
    for hour in range(1, HORIZON + 1):
        left = sum(number * fleet.curve(pool)[hour] for pool, number in pools.items())
        missing.append((fleet.hour + hour, left))
    instants = {at for at, _ in missing} | schedule.bends()
    return [
        (at, reachable - between(missing, at) - schedule.missing(at)) for at in sorted(instants)
    ]


class Schedule:
    """Devices of which no more is known than how often they are to call."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.number = self.never = 0
        self.by_interval: dict[float, int] = {}

    def add(self, one: Candidate, *, now: float) -> float | None:
        """Count a device; return when half of its interval is over, None if it is silent."""
        self.number += 1
        if not one.is_regular(now):
            self.never += 1
            return None
        self.by_interval[one.interval] = self.by_interval.get(one.interval, 0) + 1
        return self.start + one.interval / 2

    def bends(self) -> set[float]:
        return {self.start + interval for interval in self.by_interval}

    def missing(self, at: float) -> float:
        """Return how many are expected to be missing: each calls at any time of its interval."""
        passed = at - self.start
        left = sum(n * max(0.0, 1 - passed / each) for each, n in self.by_interval.items())
        return self.never + left


class Fleet:
    """The replays of all devices, pooled."""

    def __init__(self, candidates: Iterable[Candidate], *, now: float, start: float) -> None:
        self.now, self.start = now, start
        self.this_hour, self.hour = int(now), int(start)
        self.over = start - self.hour  # the part of the first hour that is over by then
        self.ahead = self.hour - self.this_hour
        recorded = [one.check_ins.first for one in candidates if one.check_ins is not None]
        self.since = min(recorded, default=self.this_hour)
        known = [self.record(one) for one in candidates]
        self.away = holidays.hours(known, this_hour=self.this_hour)
        self.limits = [self._limit(week) for week in range(WEEKS + 1)]
        self.pools = [Replays(HORIZON) for _ in range(len(Rhythm) * BUCKETS)]
        self._own: dict[int, list[tuple[int, int, bool, float]]] = {}
        for record in known:
            self._pool(record)

    def record(self, one: Candidate) -> CheckIns:
        """Return the record of a device, from when the zone kept any or the device enrolled."""
        begins = min(max(self.since, int(one.enrolled)), self.this_hour)
        if one.check_ins is None:
            return CheckIns(begins, begins, 0)
        return replace(one.check_ins, first=min(begins, one.check_ins.first))

    def _limit(self, week: int) -> int:
        """Return for how many hours the replay of a past week tells of an ordinary time."""
        back = week * WEEK - self.ahead  # the first hour of the replay is bit `back - 1`
        if back <= 0:
            return 0
        holidays_then = self.away & ((1 << back) - 1)
        return min(back - holidays_then.bit_length(), HORIZON)

    def _pool(self, record: CheckIns) -> None:
        rhythm = rhythm_of(record)
        for bucket, hours, came, weight in self._replays(record):
            self.pools[rhythm * BUCKETS + bucket].add(hours, came, weight)
            self.pools[Rhythm.UNKNOWN * BUCKETS + bucket].add(hours, came, weight)

    def _replays(self, record: CheckIns) -> list[tuple[int, int, bool, float]]:
        """Return bucket of silence, hours, whether a contact ended them, and weight."""
        past = record.before(self.this_hour)
        found = []
        for week in range(1, WEEKS):
            limit, then = self.limits[week], self.this_hour - week * WEEK
            if then <= record.known_from:
                break
            before, known = past >> week * WEEK, then - record.known_from
            if limit == 0 or not (before or known >= SILENCES[-1]):
                continue  # a holiday, or nobody knows for how long it had been silent
            bucket = self._bucket(before, week, known)
            back = week * WEEK - self.ahead
            after = past & ((1 << back) - 1)
            if self.over and after >> (back - 1):  # half of that hour's contacts came too early
                found.append((bucket, 0, True, 1 - self.over))
                found.append((bucket, *_next(after & ~(1 << (back - 1)), back, limit), self.over))
            else:
                found.append((bucket, *_next(after, back, limit), 1.0))
        return found

    def _bucket(self, past: int, week: int, known: int) -> int:
        return bisect_right(SILENCES, silence(past, self.away >> week * WEEK, known))

    @cached_property
    def curves(self) -> list[list[float] | None]:
        """The survival curve of each pool; None where too little is known."""
        return [survival(pool) if pool.number >= ENOUGH else None for pool in self.pools]

    def curve(self, pool: int) -> list[float]:
        """Return the curve of a pool that `pool()` named."""
        found = self.curves[pool]
        assert found is not None
        return found

    def is_prompt(self, one: Candidate) -> bool:
        """Whether the device calls so often, and has just called, that its schedule is enough."""
        return one.interval <= PROMPT and one.is_regular(self.now)

    def pool(self, one: Candidate) -> int | None:
        """Return the pool of a device; None if no record tells of any like it."""
        record = self.record(one)
        known = self.this_hour - record.known_from
        rhythm = rhythm_of(record) if known >= WEEK else Rhythm.UNKNOWN
        silent = known if record.bits else int(self.now - one.heard)
        bucket = self._bucket(record.before(self.this_hour), 0, silent)
        wanted = (rhythm * BUCKETS + bucket, Rhythm.UNKNOWN * BUCKETS + bucket)
        return next((pool for pool in wanted if self.curves[pool] is not None), None)

    def outlook(self, one: Candidate, pool: int) -> Outlook:
        """Return what is expected of a device, in hours from the start's hour on."""
        replays = self._replays(self.record(one))
        own = [replay[1:] for replay in replays if replay[0] == pool % BUCKETS]
        return Outlook(self.curve(pool), own)

    def due(self, one: Candidate, pool: int) -> float | None:
        """Return when it is more likely ready than not."""
        hours = self.outlook(one, pool).median()
        return None if hours is None else max(self.hour + hours, self.start)

    def chance(self, one: Candidate, at: float) -> float | None:
        """Return how likely a device is ready by `at`; None if no record tells."""
        pool = self.pool(one)
        return None if pool is None else 1 - self.outlook(one, pool).missing(at - self.hour)


def _next(after: int, back: int, limit: int) -> tuple[int, bool]:
    """Return the hours until the next contact and True, or the hours that were seen and False."""
    hours = back - after.bit_length()
    return (hours, True) if after and hours < limit else (limit, False)
