"""
What a server tells a device at a refresh, read and bounded: no clock and no disk here.

A server that lies is not to put a device to sleep, to leave it without a server, or to move it to
another time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent import client, proof
from agent.manifest import parse_time

MAX_INTERVAL = 30 * 86400.0  # seconds
MAX_SERVERS = 100
MAX_FORMER = 8  # servers that are no longer named
SLACK = timedelta(days=1)
FAR_AHEAD = timedelta(days=3660)
_ORDER = ("id", "attempt", "sha256", "size", "sources")


@dataclass(frozen=True)
class Told:
    """The server's time, seconds until the next refresh, and what there is to do."""

    time: datetime
    interval: float
    servers: list[str]
    order: dict[str, Any] | None
    prove: dict[str, Any] | None
    manifest: str


def read(answer: dict[str, Any], *, issued_at: datetime) -> Told:
    """
    Return what the answer says to a device whose trust manifest was signed at `issued_at`.

    Raises KeyError, TypeError or ValueError for what no server of the zone says.
    """
    order = answer.get("update")
    return Told(
        time=_time(answer, issued_at),
        interval=_interval(answer),
        servers=_servers(answer),
        order=None if order is None else {name: order[name] for name in _ORDER},
        prove=proof.wish(answer.get("prove")),
        manifest=str(answer.get("manifest") or ""),
    )


def _time(answer: dict[str, Any], issued_at: datetime) -> datetime:
    at = parse_time(answer["time"])
    if not issued_at - SLACK <= at <= issued_at + FAR_AHEAD:
        raise ValueError("before the trust manifest was signed, or long after")
    return at


def _interval(answer: dict[str, Any]) -> float:
    interval = float(answer["next_refresh"])
    if not math.isfinite(interval):
        raise ValueError("no number of seconds")
    return min(max(interval, 1.0), MAX_INTERVAL)


def _servers(answer: dict[str, Any]) -> list[str]:
    servers = list(answer["servers"])
    if len(servers) > MAX_SERVERS or not all(map(client.is_address, servers)):
        raise ValueError("not a list of servers")
    return servers
