"""Survival curves after Kaplan and Meier: which part has not been in contact, hour by hour."""

from bisect import bisect_left
from collections.abc import Iterable

from devices.check_ins import WEEK

# How many of a device's own replays its pool is worth.
PRIOR = 2.0


class Replays:
    """A pool of replays: how many ended in each hour with a contact, how many unseen."""

    def __init__(self, horizon: int) -> None:
        self.number = 0.0
        self.came = [0.0] * horizon
        self.ended = [0.0] * (horizon + 1)

    def add(self, hours: int, came: bool, weight: float) -> None:
        self.number += weight
        if came:
            self.came[hours] += weight
        else:
            self.ended[hours] += weight


def survival(pool: Replays) -> list[float]:
    """
    Return the part that is missing after 0, 1, 2, ... hours.

    One more than there were never comes, so that nobody is sure. Beyond the last hour that was
    seen, the last week is repeated.
    """
    left, at_risk = [1.0], pool.number
    hazards: list[float] = []
    for hour, came in enumerate(pool.came):
        at_risk -= pool.ended[hour]
        if at_risk > 1e-6:
            hazards.append(came / (at_risk + 1))
        else:
            hazards.append(hazards[hour - WEEK] if hour >= WEEK else 0.0)
        at_risk -= came
        left.append(left[-1] * (1 - hazards[hour]))
    return left


class Outlook:
    """
    One device: its own replays weighed against its pool's curve.

    From a piece's hour on, the part missing after k hours is `a + b * curve[k]`.
    """

    __slots__ = ("curve", "pieces")

    def __init__(self, curve: list[float], own: Iterable[tuple[int, bool, float]]) -> None:
        self.curve = curve
        self.pieces = _pieces(curve, sorted(own))

    def missing(self, hours: float) -> float:
        """Return how likely it has not been in contact after `hours`."""
        hours = min(max(hours, 0.0), len(self.curve) - 1.0)
        whole = int(hours)
        after = self._after(whole)
        if whole == hours:
            return after
        return after + (self._after(whole + 1) - after) * (hours - whole)

    def _after(self, hours: int) -> float:
        _, a, b = next(piece for piece in reversed(self.pieces) if piece[0] <= hours)
        return a + b * self.curve[hours]

    def median(self) -> int | None:
        """Return the hours after which it is more likely in contact than not."""
        ends = [start for start, _, _ in self.pieces[1:]] + [len(self.curve)]
        for (start, a, b), end in zip(self.pieces, ends, strict=True):
            if b > 0:
                found = bisect_left(self.curve, -(0.5 - a) / b, start, end, key=lambda part: -part)
                if found < end:
                    return found
        return None


def _pieces(
    curve: list[float], own: list[tuple[int, bool, float]]
) -> list[tuple[int, float, float]]:
    """Return the hour from which each piece holds, and its a and b."""
    number = sum(weight for _, _, weight in own)
    scale = 1 / (number + PRIOR)
    pieces = [(0, scale * number, scale * PRIOR)]
    for hours, came, weight in own:
        if came:
            number -= weight
            pieces.append((hours + 1, scale * number, scale * PRIOR))
            continue
        before = number + PRIOR * curve[hours]
        number -= weight
        rest = number + PRIOR * curve[hours]
        scale = scale * before / rest if rest > 0 else 0.0
        pieces.append((hours, scale * number, scale * PRIOR))
    return pieces
