"""
Races of Postpone, Sign off, Cancel and the guard's moment, each with one winner.

Three of them exclude each other: a postponed, a canceled and an armed operation. A sign-off may
come before any of these and not after. Whoever is told no, is told why, and that must be so.
"""

import os
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import connection

from certificates.actions import decisions, operations
from certificates.models import Operation
from tests.certificates.engine.test_guard import forget_everything, sign_off, ws1
from zcc.ground import clock

__all__ = ["ws1"]
ROUNDS = int(os.environ.get("ZCC_RACES", "250"))
TOLD = (operations.NotPossibleNow, decisions.NotPossibleNow, *operations.OVERTAKEN)
# What may be said to the loser, by who has won.
SENTENCES = {
    "postpone": ("Somebody else has moved the activation.",),
    "cancel": ("The operation is over, or being taken back.",),
    "arm": ("The operation is armed", "The operation can no longer be canceled: it activates in"),
}
# The guard asks before it arms; the others come at the same time if they come a little later.
LATER = 0.012  # seconds at most
AHEAD = 0.3


@dataclass
class Round:
    """What the four have done, and what they were told."""

    done: set = field(default_factory=set)
    told: dict = field(default_factory=dict)


class Race:
    """One operation of which three people and the guard want something at the same moment."""

    def __init__(self, living, operation, device, chance):
        self.living, self.device, self.chance = living, device, chance
        self.planned = operation.activate_at
        self.later = self.planned + timedelta(days=2)
        self.names = ("postpone", "cancel", "sign", "arm")
        self.start, self.end = threading.Barrier(5), threading.Barrier(5)
        self.over, self.now, self.waits, self.number = False, None, {}, 0
        self.threads = [threading.Thread(target=self.take_part, args=[n]) for n in self.names]

    def postpone(self, it):
        decisions.postpone(it, to=self.later, by=self.living.alice, now=clock.now())
        return True

    def cancel(self, it):
        now = it.cutoff_at - timedelta(seconds=1)
        operations.cancel(it, by=self.living.alice, now=now)
        return True

    def arm(self, it):
        now = self.planned - timedelta(minutes=9)
        return operations.advance(it, now=now) and it.state == "armed"

    def sign(self, it):
        return bool(sign_off(self.living, it, [self.device]))

    def take_part(self, name):
        """Do one's own thing in every round; a thread of its own, with a connection of its own."""
        it = Operation.objects.get()
        self.end.wait()
        while True:
            self.start.wait()
            if self.over:
                break
            time.sleep(self.waits[name])
            try:
                if getattr(self, name)(it):
                    self.now.done.add(name)
            except TOLD as error:
                self.now.told[name] = str(error)
            it = self.look_again(it)
            self.end.wait()
        connection.close()

    def look_again(self, it):
        """The operation as it will be when the next round begins."""
        again = Operation.objects.get(pk=it.pk)
        again.state, again.activate_at, again.held_reason = "assigned", self.planned, ""
        return again

    def run(self):
        """Return what was done and told, and the operation as it is then."""
        self.now = Round()
        Operation.objects.update(state="assigned", activate_at=self.planned, held_reason="")
        operation = Operation.objects.get()
        operation.sign_offs.all().delete()
        self.number += 1
        # Now and then each is the first: on a busy machine one would never be.
        first = self.names[self.number % 4] if self.number % 13 == 0 else None
        if first == "arm" or (first is None and self.chance.random() < 0.5):
            sign_off(self.living, operation, [self.device])
        operation.events.all().delete()
        self.waits = {name: self.chance.random() * LATER for name in self.names} | {"arm": 0}
        if first is not None:
            self.waits = dict.fromkeys(self.names, AHEAD) | {first: 0}
        self.start.wait()
        self.end.wait()
        return self.now, Operation.objects.get()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.end.wait()
        return self

    def __exit__(self, *exc_info):
        self.over = True
        self.start.wait()
        for thread in self.threads:
            thread.join()


def kind_of(event):
    """Return who has written this event of the history."""
    if event.note.startswith(("Postponed", "1 device signed off", "Held")):
        return {"P": "postpone", "1": "sign", "H": "held"}[event.note[0]]
    return {"armed": "arm", "cancelling": "cancel"}[event.state]


def what_is_wrong(race, round_, after):
    """Return what of a round is not as it must be, nothing if all is well."""
    history = [kind_of(event) for event in after.events.order_by("pk")]
    winners = round_.done - {"sign"}
    if len(winners) != 1:
        return f"{len(winners)} winners"
    (winner,) = winners
    if sorted(kind for kind in history if kind != "held") != sorted(round_.done):
        return "the history is another one than what was done"
    if history[-1] != winner:
        return "something happened after it was decided"
    yields = {"postpone": "assigned", "cancel": "cancelling", "arm": "armed"}
    moved = after.activate_at == race.later
    if (after.state, moved, after.held_reason) != (yields[winner], winner == "postpone", ""):
        return "the operation is not as the winner wanted it"
    if "sign" in round_.done and after.sign_offs.filter(voided_at=None).count() != 1:
        return "the sign-off does not stand"
    return untrue(round_, winner)


def untrue(round_, winner):
    """Return what was said to a loser and is not so."""
    for name in {"postpone", "cancel", "sign"} - round_.done:
        said = round_.told.get(name)
        if said is None or not said.startswith(SENTENCES[winner]):
            return f"{name} was told: {said}"
    return ""


@pytest.mark.django_db(transaction=True)
def test_postpone_sign_off_cancel_and_the_guard_have_one_winner(living, ws1):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    operation = living.reach("assigned")
    forget_everything(ws1)
    winners = set()
    with Race(living, operation, ws1, random.Random(seed)) as race:
        for number in range(ROUNDS):
            round_, after = race.run()
            wrong = what_is_wrong(race, round_, after)
            assert not wrong, (wrong, number, round_, list(after.events.values_list("note")))
            winners |= round_.done
    assert winners == {"postpone", "sign", "cancel", "arm"}
