"""Claims, on a table of their own, and raced for by real processes on the configured database."""

import multiprocessing
import os
import signal
import time
from datetime import timedelta

import pytest
from django.db import connection, connections, models

from zcc.ground import claims, clock

WORKERS = 6
ROWS = 20


class Work(claims.Claimable):
    """A row to be worked on; `effects` counts how often that happened."""

    is_done = models.BooleanField(default=False)
    effects = models.IntegerField(default=0)

    class Meta:
        app_label = "tests"


@pytest.fixture
def table(transactional_db):
    with connection.schema_editor() as editor:
        editor.create_model(Work)
    yield Work.objects
    with connection.schema_editor() as editor:
        editor.delete_model(Work)


@pytest.fixture
def start(table):
    """Start a function in a process of its own; its arguments are inherited, not pickled."""
    context = multiprocessing.get_context("fork")
    started = []

    def start(target, *arguments):
        connections.close_all()  # or the child would use this process's
        process = context.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def due(pk):
    return Work.objects.filter(pk=pk, is_done=False)


def work_on(barrier, pks):
    """Claim each row as soon as the others may; one effect, guarded by the claim."""
    barrier.wait()
    for pk in pks:
        row = claims.claim(due(pk), now=clock.now())
        if row is not None:
            claims.mine(row).update(is_done=True, effects=models.F("effects") + 1)


def claim_and_hang(ready, pk):
    """Claim for a second, and never come back."""
    claims.claim(due(pk), now=clock.now(), seconds=1)
    connections.close_all()
    ready.set()
    time.sleep(600)


def claim_freeze_and_write(changed, pk):
    """Claim for a second, be stopped between claim and effect, and go on as if nothing were."""
    row = claims.claim(due(pk), now=clock.now(), seconds=1)
    os.kill(os.getpid(), signal.SIGSTOP)
    changed.value = claims.mine(row).update(is_done=True, effects=models.F("effects") + 1)
    connections.close_all()


def test_each_row_is_worked_on_once_however_many_race(table, start):
    pks = [table.create().pk for _ in range(ROWS)]
    barrier = multiprocessing.get_context("fork").Barrier(WORKERS)

    for process in [start(work_on, barrier, pks) for _ in range(WORKERS)]:
        process.join(60)
        assert process.exitcode == 0

    assert list(table.values_list("effects", flat=True)) == [1] * ROWS


def test_row_of_a_killed_worker_is_free_when_its_lease_is_over(table, start):
    pk = table.create().pk
    ready = multiprocessing.get_context("fork").Event()
    process = start(claim_and_hang, ready, pk)
    assert ready.wait(10)
    os.kill(process.pid, signal.SIGKILL)

    assert claims.claim(due(pk), now=clock.now()) is None
    assert claims.claim(due(pk), now=clock.now() + timedelta(seconds=2)) is not None


def test_frozen_worker_that_goes_on_after_its_lease_changes_nothing(table, start):
    pk = table.create().pk
    changed = multiprocessing.get_context("fork").Value("i", -1)
    frozen = start(claim_freeze_and_write, changed, pk)
    assert os.WIFSTOPPED(os.waitpid(frozen.pid, os.WUNTRACED)[1])
    other = claims.claim(due(pk), now=clock.now() + timedelta(seconds=2))
    assert claims.mine(other).update(is_done=True, effects=models.F("effects") + 1) == 1

    os.kill(frozen.pid, signal.SIGCONT)
    frozen.join(30)

    assert (frozen.exitcode, changed.value) == (0, 0)
    assert table.get(pk=pk).effects == 1


def test_worker_that_woke_too_late_changes_nothing(table):
    pk, now = table.create().pk, clock.now()
    frozen = claims.claim(due(pk), now=now, seconds=10)
    other = claims.claim(due(pk), now=now + timedelta(seconds=11))

    assert claims.mine(frozen).update(is_done=True) == 0
    assert claims.renew(frozen, now=now) is False
    assert claims.release(frozen) is False
    assert claims.mine(other).update(is_done=True) == 1


def test_row_that_is_not_due_is_not_claimed(table):
    pk = table.create(is_done=True).pk

    assert claims.claim(due(pk), now=clock.now()) is None


def test_released_row_can_be_claimed_at_once(table):
    pk, now = table.create().pk, clock.now()
    row = claims.claim(due(pk), now=now)

    assert claims.release(row) is True
    assert claims.claim(due(pk), now=now) is not None


def test_held_row_stays_claimed_beyond_its_first_lease(table):
    pk = table.create().pk
    row = claims.claim(due(pk), now=clock.now(), seconds=0.6)

    with claims.held(row, seconds=0.6) as hold:
        time.sleep(1.5)
        assert claims.claim(due(pk), now=clock.now()) is None
        hold.check()


def test_check_raises_when_the_lease_is_lost(table):
    pk, now = table.create().pk, clock.now()
    row = claims.claim(due(pk), now=now, seconds=10)
    claims.claim(due(pk), now=now + timedelta(seconds=11))

    with claims.held(row, seconds=60) as hold, pytest.raises(claims.LeaseLost):
        hold.check()


def test_only_a_claimed_row_can_be_finished(table):
    with pytest.raises(ValueError, match="not claimed"):
        claims.mine(table.create())
