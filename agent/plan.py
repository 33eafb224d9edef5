"""What the agent should do next. No clock, no disk, no network: see `loop` for those."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from agent.manifest import Update
from agent.state import Progress

SHORT_INTERVAL = 60.0  # a zone that refreshes at least this often is watched by somebody
ACTIVATION_SPREAD = 300.0  # seconds over which a large zone's devices come after activation
SHORT_SPREAD = 5.0
FIRST_RETRY = 1.0
OTHER_SERVER = 3600.0  # seconds
MAX_RETRY_AFTER = 86400.0


class Step(Enum):
    """One thing to do; after it the situation is looked at again."""

    ACTIVATE = "put the staged certificate to use"
    ARM = "keep the go-ahead and send the bridge"
    CLEAN = "remove what a cancelled operation left"
    RETIRE = "forget the old CA's certificate"
    SET_TRUST = "trust what the manifest says"
    START = "report that the download begins"
    DOWNLOAD = "fetch the content"
    APPLY = "try the new trust and keep it"
    PROVE = "connect to a canary by the new CA alone"
    COMPLETE = "prove that the new CA is in use"
    CLOSE = "the update ended without this device"
    WAIT = "nothing is due"


# What needs no server, so that a device that reaches none does it, too.
LOCAL = {Step.ACTIVATE, Step.ARM, Step.CLEAN, Step.RETIRE}


@dataclass(frozen=True)
class Situation:
    """What the agent knows: from its disk, and from what the server said last."""

    update: Update | None = None  # the manifest's
    order: tuple[str, int] | None = None  # update and attempt this device is to apply
    progress: Progress | None = None
    trusted: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()  # the manifest's anchors
    to_prove: str | None = None  # the anchor by which a canary is to be verified
    reserved: str | None = None  # the operation to which remint-repo belongs
    expected: str | None = None  # the operation for which the server wants a certificate here
    staged: bool = False
    armed: bool = False
    old_anchor: str | None = None  # of what is kept in previous/


def next_step(situation: Situation, *, now: datetime) -> Step:
    """Return the one step that is due at `now`, by the server's clock."""
    step = _certificate_step(situation, now=now)
    return _trust_step(situation, now=now) if step is Step.WAIT else step


def _certificate_step(situation: Situation, *, now: datetime) -> Step:
    update = situation.update
    if situation.reserved is not None:
        if update is None or update.operation != situation.reserved:
            return _begun_or_over(situation)
        if situation.staged and update.armed and now >= update.activate_at:
            return Step.ACTIVATE
        if situation.staged and update.armed and not situation.armed:
            return Step.ARM
    if situation.old_anchor is not None and situation.old_anchor not in situation.wanted:
        return Step.RETIRE
    return Step.WAIT


def _begun_or_over(situation: Situation) -> Step:
    """An operation that no manifest tells of has not been assigned yet, or is over."""
    return Step.WAIT if situation.expected == situation.reserved else Step.CLEAN


def _trust_step(situation: Situation, *, now: datetime) -> Step:
    update, progress = situation.update, situation.progress
    if update is None:
        if situation.trusted != situation.wanted:
            return Step.SET_TRUST
        return Step.CLOSE if progress and progress.state != "completed" else Step.WAIT
    if _is_new(situation, update):
        return Step.START
    if progress is None or progress.update != update.id:
        return _step_of_another_update(situation, update)
    if situation.to_prove is not None and situation.to_prove in situation.trusted:
        return Step.PROVE
    if progress.state == "pending" and not (update.activated or now >= update.activate_at):
        # Not what it was when it became pending: somebody has put another trust file in its place.
        return Step.WAIT if situation.trusted == situation.wanted else Step.SET_TRUST
    if progress.state == "completed" and situation.trusted != situation.wanted:
        return Step.SET_TRUST  # the old CA is retired
    following = {"download": Step.DOWNLOAD, "update": Step.APPLY, "pending": Step.COMPLETE}
    return following.get(progress.state, Step.WAIT)


def _step_of_another_update(situation: Situation, update: Update) -> Step:
    """
    The manifest's update is not the one this device was busy with, or it is not its turn.

    Before the activation that means to wait. After it the manifest says whom the zone trusts: what
    a cancelled operation has brought since is taken away again.
    """
    if not update.activated:
        return Step.WAIT
    if situation.trusted != situation.wanted:
        return Step.SET_TRUST
    progress = situation.progress
    return Step.CLOSE if progress and progress.state != "completed" else Step.WAIT


def _is_new(situation: Situation, update: Update) -> bool:
    """Whether the device is to begin: a first time, or again because of `Redeploy`."""
    if situation.order is None or situation.order[0] != update.id:
        return False
    done = situation.progress
    return done is None or done.update != update.id or done.attempt < situation.order[1]


def until_refresh(
    *,
    interval: float,
    now: datetime,
    activate_at: datetime | None,
    has_reports: bool,
    random: float,
) -> float:
    """
    Return the seconds from `now` until the next refresh, after one that was answered.

    Something to report goes out at once. Otherwise it is `interval`, up to a tenth less by `random`
    (0 to 1), so that devices started together part; but soon after `activate_at`.
    """
    if has_reports:
        return 0.0
    regular = interval * (1 - random / 10)
    if activate_at is None or activate_at <= now:
        return regular
    spread = SHORT_SPREAD if interval <= SHORT_INTERVAL else ACTIVATION_SPREAD
    switch = activate_at - now + timedelta(seconds=random * min(interval, spread))
    return min(regular, switch.total_seconds())


def wants_other_server(last: datetime | None, *, interval: float, now: datetime) -> bool:
    """
    Return whether another server than the usual one is to be asked first this time.

    A server that says nothing new, though there is something, looks like one that has nothing to
    say. So no device asks one alone for longer than `interval`, or an hour if that is longer.
    """
    if last is None or last > now:  # never, or by a clock that was set back
        return False
    return (now - last).total_seconds() >= max(interval * 0.9, OTHER_SERVER)


def until_retry(
    *, interval: float, failures: int, retry_after: float | None, random: float
) -> float:
    """
    Return the seconds until the next try, after the last `failures` were not answered.

    It doubles up to `interval`. A server that said when (`retry_after`) is obeyed, plus up to a
    tenth, for up to a day.
    """
    if retry_after is not None:
        return min(max(retry_after, FIRST_RETRY), MAX_RETRY_AFTER) * (1 + random / 10)
    doubled = FIRST_RETRY * 2.0 ** min(failures - 1, 20)
    return min(interval, doubled) * (1 - random / 2)
