"""
Rolled back at a random moment of the switch, also with a server that is dead in the middle of it.

Real listeners show what is in the homes, and clients that trust the old CA, the new one, or both
connect to them all the time. The work goes on message by message, and each state between two
messages has been seen by all of them.
"""

import random
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from agent import serve
from agent.serve import Listener, ListenerThread
from certificates import due
from certificates.actions import authorities, decisions, operations
from certificates.models import Operation, ServerProgress
from devices.models import Device
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.test_rollback import leaves, state_of
from zcc.ground import clock

SEED = random.randrange(2**32)
CHANCE = random.Random(SEED)
# Messages after the activation time: one while some servers have not switched, four at any time.
# Overlap is reached after about ten.
MOMENTS = [CHANCE.randrange(1, 4), *sorted(CHANCE.sample(range(1, 16), 4))]


class Prober:
    """A client that connects to all places, again and again, trusting only the CAs in `anchors`."""

    def __init__(self, places, anchors):
        self.places, self.anchors = places, anchors
        self.rounds, self.failed = 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.probe)

    def probe(self):
        while not self.over.is_set():
            for place in self.places:
                try:
                    self.connect(place)
                except OSError as error:
                    self.failed.append((place, str(error)))
            self.rounds += 1
            self.over.wait(0.01)

    def connect(self, place):
        context = ssl.create_default_context(cadata=self.anchors)
        plain = socket.create_connection(place, 10)
        with plain, context.wrap_socket(plain, server_hostname=place[0]):
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.over.set()
        self.thread.join()


@pytest.fixture
def places(homes):
    """Every server's home, shown by a listener on the server's own address."""
    shown = []
    with ExitStack() as stack:
        for number, home in enumerate(homes.values(), start=1):
            shown.append(stack.enter_context(listening(home, f"127.99.0.{number}")))
        yield shown


@contextmanager
def listening(home, address):
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    thread = ListenerThread(Listener(address, serve.ports_of(home, tls=port, log=print)))
    thread.start()
    yield address, port
    thread.stop()


def pem(*authorities_):
    return "".join(ssl.DER_cert_to_PEM_cert(bytes(ca.der)) for ca in authorities_)


def seen_by_all(probers):
    """Wait until each of them has gone round once more from beginning to end."""
    before = [prober.rounds for prober in probers]
    while any(p.rounds < n + 2 for p, n in zip(probers, before, strict=True)):
        time.sleep(0.005)


def go_on(living, probers, *, at=None, most=100):
    """Do what is due, one message after the other, at most so many."""
    done = 0
    while done < most:
        moved = [
            operations.advance(operation, now=at or clock.now())
            for operation in Operation.objects.filter(zone=living.zone).live()
        ]
        rings = list(due.rings(living.zone, now=clock.now()))
        if not rings and not any(moved):
            return
        for ring in rings[: most - done]:
            living.do(ring)
            seen_by_all(probers)
            done += 1


def die(living, name, homes, operation):
    """The worker of a server is gone; its listener is not, and its supervisor may have switched."""
    living.fall_silent(name)
    if CHANCE.random() < 0.5:
        homes[name].activate(str(operation.guid))


def roll_back(living, operation):
    operation.refresh_from_db()
    decisions.roll_back(operation, reason="card readers", by=living.alice, now=clock.now())


@pytest.mark.parametrize("number", range(len(MOMENTS)))
def test_nobody_is_refused_and_another_operation_completes(living, homes, places, number):
    moment, dead = MOMENTS[number], CHANCE.choice(SERVERS) if number % 2 else None
    print(f"seed {SEED}: after {moment} messages; dead: {dead}")
    before = leaves(homes)
    operation = living.reach("armed")
    old, new = operation.old_ca, operation.new_ca
    with ExitStack() as stack:
        trusts = [pem(old), pem(new), pem(old, new)]
        probers = [stack.enter_context(Prober(places, trust)) for trust in trusts]
        go_on(living, probers, at=operation.activate_at, most=moment // 2)
        if dead:
            die(living, dead, homes, operation)
        go_on(living, probers, at=operation.activate_at, most=moment - moment // 2)
        roll_back(living, operation)
        go_on(living, probers)
        living.beat(dead or "ps1")
        go_on(living, probers)

    operation.refresh_from_db()
    assert (operation.state, leaves(homes)) == ("rolled_back", before)
    assert [prober.failed for prober in probers] == [[], [], []]
    assert not ServerProgress.objects.filter(rolled_back_at=None).exists()
    complete_another(living, operation, homes, places)


def complete_another(living, first, homes, places):
    """Whoever trusts the CA that came back is not refused in the next operation, either."""
    with Prober(places, pem(first.old_ca)) as prober:
        second = living.reach("overlap")
        seen_by_all([prober])
    authorities.retire_old_ca(second, by=living.alice, now=clock.now())
    living.run()

    assert prober.failed == []
    assert Operation.objects.get(pk=second.pk).state == "completed"
    assert [state_of(ca) for ca in (first.old_ca, first.new_ca)] == ["retired", "retired"]
    shown = {home.live().operation for home in homes.values()}
    assert shown == {str(second.guid)}
    assert Device.objects.filter(name__in=SERVERS).count() == len(SERVERS)
