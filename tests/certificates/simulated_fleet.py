"""
A fleet whose devices come and go by rules of their own: nothing here is the forecast's.

Each device yields the minutes of its contacts since a Monday 00:00, week after week.
"""

import random
from dataclasses import dataclass

MINUTES = 60
DAY = 24 * MINUTES
WEEK = 7 * DAY


@dataclass
class Life:
    """One simulated device: what it is, and the minutes in which it is in contact."""

    kind: str
    contacts: list[float]


def simulate(number, *, weeks, seed, holidays=()):
    """Return `number` devices: offices, servers, field devices, and those that are gone."""
    chance = random.Random(seed)
    return [_device(chance, weeks, holidays) for _ in range(number)]


def _device(chance, weeks, holidays):
    kind = chance.choices(["laptop", "server", "field", "dead"], [60, 20, 16, 4])[0]
    if kind == "dead":  # it was a laptop, and its last day was before or during the record
        ended = chance.uniform(-2, weeks) * WEEK
        return Life(kind, [at for at in _laptop(chance, weeks, holidays) if at < ended])
    alive = {"laptop": _laptop, "server": _server, "field": _field}[kind]
    return Life(kind, list(alive(chance, weeks, holidays)))


def _laptop(chance, weeks, holidays):
    """Switched on in the morning, off in the evening; weekends, days off, and weeks of leave."""
    arrives, stays = chance.gauss(8, 1.2) * MINUTES, chance.gauss(8.5, 1) * MINUTES
    zone = chance.choice([0, 0, 60, -300])
    refresh = chance.choice([60, 240, 720, 720])
    free_day = chance.choice([None, None, None, 2, 4])
    comes, comes_at_weekends = chance.uniform(0.75, 1), chance.choice([0, 0, 0.1])
    leave = 0
    for day in range(weeks * 7):
        if day % 7 == 0 and leave <= 0 and chance.random() < 0.07:
            leave = chance.choice([7, 7, 14, 21])
        leave -= 1
        if day % 7 >= 5:
            there = chance.random() < comes_at_weekends
        else:
            there = chance.random() < comes and day % 7 != free_day and day not in holidays
        if there and leave < 0:
            at = day * DAY + zone + arrives + chance.gauss(0, 35)
            until = at + max(stays + chance.gauss(0, 60), 30)
            while at < until:
                yield at
                at += refresh * chance.uniform(0.9, 1)


def _server(chance, weeks, holidays):
    """Always on, but for an outage now and then."""
    refresh = chance.choice([240, 720, 720])
    at = chance.uniform(0, refresh)
    while at < weeks * WEEK:
        yield at
        at += refresh * chance.uniform(0.9, 1)
        if chance.random() < 0.004:
            at += chance.expovariate(1 / (10 * MINUTES))


def _field(chance, weeks, holidays):
    """In contact every few days, mostly by day."""
    gap = chance.uniform(0.8, 7) * DAY
    at = chance.uniform(0, gap)
    while at < weeks * WEEK:
        yield at
        at += chance.expovariate(1 / gap)
        if not 6 * MINUTES < at % DAY < 20 * MINUTES and chance.random() < 0.8:
            at += 8 * MINUTES
