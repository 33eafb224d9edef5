from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent import plan
from agent.manifest import Update
from agent.plan import Situation, Step
from agent.state import Progress

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)
UPDATE = Update("u", "Remint CA", "0" * 64, 1, "op", "new", "old", SOON, False, False)
ARMED = replace(UPDATE, armed=True)
DUE = replace(ARMED, activate_at=NOW)
LAST = replace(DUE, activated=True)
ORDER = ("u", 1)


def at(state, attempt=1, update="u"):
    return Progress(update, attempt, state, "new")


def trusts(trusted, wanted, **more):
    return Situation(trusted=frozenset(trusted), wanted=frozenset(wanted), **more)


TABLE = {
    "nothing at all": (Situation(), Step.WAIT),
    "the trust is right": (trusts(["old"], ["old"]), Step.WAIT),
    "cancelled or retired": (trusts(["old", "new"], ["old"]), Step.SET_TRUST),
    "planned, but not for us yet": (trusts(["old"], ["old", "new"], update=UPDATE), Step.WAIT),
    "assigned": (Situation(update=UPDATE, order=ORDER), Step.START),
    "an order for another update": (Situation(update=UPDATE, order=("v", 1)), Step.WAIT),
    "the next update": (Situation(update=UPDATE, order=ORDER, progress=at("completed", 9, "t")),
                        Step.START),
    "download was reported": (Situation(update=UPDATE, order=ORDER, progress=at("download")),
                              Step.DOWNLOAD),
    "content is here": (Situation(update=UPDATE, order=ORDER, progress=at("update")), Step.APPLY),
    "before activation": (Situation(update=UPDATE, order=ORDER, progress=at("pending")), Step.WAIT),
    "at activation": (Situation(update=DUE, order=ORDER, progress=at("pending")), Step.COMPLETE),
    "the zone has switched": (
        Situation(update=replace(UPDATE, activated=True), order=ORDER, progress=at("pending")),
        Step.COMPLETE),
    "completed": (Situation(update=DUE, order=ORDER, progress=at("completed")), Step.WAIT),
    "failed": (Situation(update=UPDATE, order=ORDER, progress=at("failed")), Step.WAIT),
    "redeployed after a failure": (
        Situation(update=UPDATE, order=("u", 2), progress=at("failed")), Step.START),
    "redeployed after completion": (
        Situation(update=UPDATE, order=("u", 2), progress=at("completed")), Step.START),
    "an old attempt": (Situation(update=UPDATE, order=ORDER, progress=at("failed", 2)), Step.WAIT),
    "cancelled after an operation that is told of still": (
        trusts(["new", "newer"], ["new"], update=LAST, progress=at("pending", update="v")),
        Step.SET_TRUST),
    "what that one was busy with is over": (
        trusts(["new"], ["new"], update=LAST, progress=at("pending", update="v")), Step.CLOSE),
    "the last one was completed": (
        trusts(["new"], ["new"], update=LAST, progress=at("completed")), Step.WAIT),
    "retired while pending": (trusts(["new"], ["new"], progress=at("pending")), Step.CLOSE),
    "retired after completion": (trusts(["new"], ["new"], progress=at("completed")), Step.WAIT),
    "staged": (Situation(update=UPDATE, reserved="op", staged=True), Step.WAIT),
    "staged and armed by the zone": (
        Situation(update=ARMED, reserved="op", staged=True), Step.ARM),
    "armed": (Situation(update=ARMED, reserved="op", staged=True, armed=True), Step.WAIT),
    "armed and due": (Situation(update=DUE, reserved="op", staged=True, armed=True), Step.ACTIVATE),
    "late, never armed here": (Situation(update=DUE, reserved="op", staged=True), Step.ACTIVATE),
    "held at its time": (
        Situation(update=replace(UPDATE, activate_at=PAST), reserved="op", staged=True), Step.WAIT),
    "due, but only a key": (Situation(update=DUE, reserved="op"), Step.WAIT),
    "cancelled with a key": (Situation(reserved="op"), Step.CLEAN),
    "another operation": (Situation(update=UPDATE, reserved="before", staged=True), Step.CLEAN),
    "the old CA is trusted still": (
        trusts(["old", "new"], ["old", "new"], old_anchor="old"), Step.WAIT),
    "the old CA is retired": (trusts(["new"], ["new"], old_anchor="old"), Step.RETIRE),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_next_step(case):
    situation, expected = TABLE[case]

    assert plan.next_step(situation, now=NOW) is expected


def until_refresh(**changes):
    usual = {"interval": 10.0, "now": NOW, "activate_at": None, "has_reports": False, "random": 0.5}
    return plan.until_refresh(**{**usual, **changes})


def test_refresh_follows_the_interval_a_little_spread():
    assert until_refresh(random=0.0) == 10.0
    assert until_refresh(random=1.0) == 9.0


def test_what_is_to_be_reported_goes_out_at_once():
    assert until_refresh(has_reports=True) == 0.0


def test_refresh_comes_soon_after_activation():
    soon = NOW + timedelta(seconds=3)

    assert until_refresh(activate_at=soon, random=0.0) == 3.0
    assert until_refresh(activate_at=soon, random=0.4) == 5.0
    assert until_refresh(activate_at=NOW, random=0.0) == 10.0


def test_a_large_zone_comes_over_five_minutes():
    late = until_refresh(interval=43200.0, activate_at=NOW + timedelta(seconds=60), random=1.0)

    assert late == 60.0 + 300.0


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (4, 8), (5, 10), (5000, 10)])
def test_tries_become_rarer_up_to_the_interval(failures, seconds):
    until = plan.until_retry(interval=10.0, failures=failures, retry_after=None, random=0.0)

    assert until == seconds


@pytest.mark.parametrize(("retry_after", "seconds"), [(30.0, 30.0), (0.0, 1.0), (1e9, 86400.0)])
def test_server_that_says_when_is_obeyed(retry_after, seconds):
    until = plan.until_retry(interval=10.0, failures=1, retry_after=retry_after, random=0.0)

    assert until == seconds


@pytest.mark.parametrize(
    ("minutes", "interval", "wanted"),
    [
        (None, 10.0, False),
        (59, 10.0, False),
        (60, 10.0, True),
        (60, 43200.0, False),
        (648, 43200.0, True),
        (-5, 10.0, False),
    ],
)
def test_another_server_is_asked_once_an_interval_or_an_hour(minutes, interval, wanted):
    last = None if minutes is None else NOW - timedelta(minutes=minutes)

    assert plan.wants_other_server(last, interval=interval, now=NOW) is wanted
