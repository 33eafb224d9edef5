"""The supervisor's tree, of real processes."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from zcc.processes import logs, tree

PATIENCE = 3  # a machine may be as many times slower than that on which the waits were written


def sleep_for_ever():
    """End at SIGTERM, as a well-behaved process does."""
    while True:
        time.sleep(60)


def ignore_sigterm():
    """End by SIGKILL only."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep_for_ever()


def note_the_end(path):
    """Write one's name into the file `path` at SIGTERM."""
    name = str(os.getpid())

    def end(*_):
        with open(path, "a") as stream:
            stream.write(name + "\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    sleep_for_ever()


def supervise(folder):
    """A supervisor of two processes."""
    inner = tree.Tree([child(folder, name) for name in ("one", "two")])
    inner.stop_on_signals()
    inner.watch(lambda: None)
    inner.stop()


def child(folder, name, run=sleep_for_ever, **options):
    """Describe a process with its files in `folder`."""
    return tree.Child(
        name=name, run=run, log=folder / f"{name}.log", pid_file=folder / f"{name}.pid", **options
    )


def is_alive(pid):
    """Say whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, *, seconds=10):
    """Wait until `condition` is true, and return what it is. What comes late does not fail."""
    deadline = time.monotonic() + PATIENCE * seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def minds_sigterm(pid):
    """Whether the process catches or ignores SIGTERM by now."""
    text = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":\t", 1) for line in text.splitlines())
    bit = 1 << (signal.SIGTERM - 1)
    return bool((int(lines["SigCgt"], 16) | int(lines["SigIgn"], 16)) & bit)


def pid_in(path):
    """Return the process id in a pid file, or None."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text else None


@pytest.fixture
def grown():
    """Trees that are stopped after the test."""
    trees = []
    yield trees.append
    for each in trees:
        each.stop()


def test_dead_child_is_started_again(tmp_path, grown):
    one = child(tmp_path, "one")
    grove = tree.Tree([one])
    grown(grove)
    grove.tend()
    first = one.pid

    os.kill(first, signal.SIGKILL)
    wait_for(lambda: grove.tend() or one.pid not in (None, first))

    assert is_alive(one.pid)
    assert pid_in(tmp_path / "one.pid") == one.pid


def test_child_that_keeps_dying_is_started_less_and_less_often(tmp_path):
    one = child(tmp_path, "one", run=lambda: None)
    one.started_at = 100.0

    pauses = []
    for _ in range(8):
        one.note_failure(101.0)
        pauses.append(one.start_after - 101.0)

    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_child_that_lived_long_is_started_again_soon(tmp_path):
    one = child(tmp_path, "one")
    one.started_at, one.failures = 100.0, 8

    one.note_failure(100.0 + tree.STEADY + 1)

    assert one.start_after - (100.0 + tree.STEADY + 1) == 0.25


def test_children_stop_in_the_order_of_their_ranks(tmp_path):
    order = tmp_path / "order"
    children = [
        child(tmp_path, str(rank), run=partial(note_the_end, order), rank=rank)
        for rank in (2, 0, 1)
    ]
    grove = tree.Tree(children)
    grove.tend()
    pids = {each.rank: each.pid for each in children}
    wait_for(lambda: all(map(minds_sigterm, pids.values())))

    grove.stop()

    assert order.read_text().split() == [str(pids[rank]) for rank in (0, 1, 2)]


def test_child_that_will_not_stop_is_killed(tmp_path):
    one = child(tmp_path, "one", run=ignore_sigterm, patience=0.5)
    grove = tree.Tree([one])
    grove.tend()
    pid = one.pid
    wait_for(lambda: minds_sigterm(pid))

    grove.stop()

    assert not is_alive(pid)
    assert not (tmp_path / "one.pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_kill_9_of_a_supervisor_takes_its_children_along(tmp_path):
    middle = child(tmp_path, "middle", run=partial(supervise, tmp_path))
    middle.start()
    pids = [wait_for(lambda name=name: pid_in(tmp_path / f"{name}.pid")) for name in ("one", "two")]
    assert all(map(is_alive, pids))

    os.kill(middle.pid, signal.SIGKILL)

    wait_for(lambda: not any(map(is_alive, pids)))
    wait_for(middle.has_ended)


def test_sigterm_of_a_supervisor_stops_its_children(tmp_path):
    middle = child(tmp_path, "middle", run=partial(supervise, tmp_path))
    middle.start()
    pids = [wait_for(lambda name=name: pid_in(tmp_path / f"{name}.pid")) for name in ("one", "two")]

    middle.ask_to_stop()
    middle.wait_until(time.monotonic() + 10)

    assert not any(map(is_alive, pids))


def test_child_becomes_another_program_and_writes_to_its_log(tmp_path):
    run = tree.execute([sys.executable, "-c", "print('hello')"])
    one = child(tmp_path, "one", run=run)

    one.start()
    wait_for(one.has_ended)

    assert (tmp_path / "one.log").read_text() == "hello\n"


def test_log_that_grew_large_is_kept_beside_and_emptied(tmp_path):
    log = tmp_path / "one.log"
    for text in ("first", "second"):
        log.write_text(text)
        logs.rotate(log, max_bytes=3)

    assert log.read_text() == ""
    assert (tmp_path / "one.log.1").read_text() == "second"
    assert (tmp_path / "one.log.2").read_text() == "first"


def test_ctrl_c_reaches_the_supervisor_only(tmp_path, grown):
    one = child(tmp_path, "one")
    grove = tree.Tree([one])
    grown(grove)

    grove.tend()

    assert os.getpgid(one.pid) == one.pid != os.getpgid(0)
