"""
A tree of processes: started by fork, restarted when they die, stopped in order, none left behind.

Each child leads a process group of its own, so that Ctrl-C in a terminal reaches the supervisor
only and the order of stopping is the supervisor's. On Linux the kernel ends a child when its parent
dies, also by kill -9.
"""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from django.db import connections

from zcc.processes import logs

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STEADY = 10.0  # seconds; a child that lived as long did not die of its own start
LONGEST_PAUSE = 15.0  # seconds between two attempts to start
POLL = 0.1  # seconds

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(kw_only=True)
class Child:
    """One process: what it runs, where it writes, and how it is doing."""

    name: str
    run: Callable[[], None]
    log: Path
    pid_file: Path | None = None
    rank: int = 0  # children of the lowest rank are stopped first, those of one rank together
    patience: float = 5.0  # seconds between SIGTERM and SIGKILL
    death_signal: signal.Signals = signal.SIGKILL
    pid: int | None = None
    started_at: float = 0.0
    start_after: float = 0.0
    failures: int = 0

    def start(self) -> None:
        """Fork, and return in the parent only."""
        self.pid = fork(self.run, log=self.log, death_signal=self.death_signal)
        self.started_at = time.monotonic()
        if self.pid_file:
            self.pid_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.pid_file.write_text(f"{self.pid}\n")

    def has_ended(self) -> bool:
        """Say whether the process is gone, and collect it if it just went."""
        if self.pid is None:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return False
        logger.info("%s (%s) ended: %s.", self.name, pid, os.waitstatus_to_exitcode(status))
        kill_group(pid)  # whoever it left behind
        self.pid = None
        if self.pid_file:
            self.pid_file.unlink(missing_ok=True)
        return True

    def note_failure(self, at: float) -> None:
        """Decide when to start again: at once after a long life, later and later otherwise."""
        self.failures = 1 if at - self.started_at > STEADY else self.failures + 1
        self.start_after = at + min(0.25 * 2 ** (self.failures - 1), LONGEST_PAUSE)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if there is still somebody to receive it."""
        if not self.has_ended() and self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def wait_until(self, deadline: float) -> None:
        """Wait for the process to end, and end it when its time is over."""
        while not self.has_ended():
            if time.monotonic() >= deadline and self.pid is not None:
                logger.warning("%s did not stop in %s s and is killed.", self.name, self.patience)
                kill_group(self.pid)
            time.sleep(POLL / 2)


@dataclass
class Tree:
    """Children that are kept running until `stop`."""

    children: list[Child] = field(default_factory=list)
    is_stopping: bool = False

    def tend(self) -> None:
        """Start what is not running, once."""
        at = time.monotonic()
        for child in self.children:
            if child.pid is not None and child.has_ended():
                child.note_failure(at)
            if child.pid is None and at >= child.start_after:
                child.start()

    def watch(self, every: Callable[[], None]) -> None:
        """Keep the children running, and call `every` each second, until told to stop."""
        next_call = time.monotonic()
        while not self.is_stopping:
            self.tend()
            if time.monotonic() >= next_call:
                next_call = time.monotonic() + 1.0
                every()
            time.sleep(POLL)

    def stop(self) -> None:
        """Stop the children, rank by rank, each with its own deadline."""
        for _, group in groupby(sorted(self.children, key=_rank), key=_rank):
            together = list(group)
            asked_at = time.monotonic()
            for child in together:
                child.ask_to_stop()
            for child in together:
                child.wait_until(asked_at + child.patience)

    def stop_on_signals(self) -> None:
        """Make SIGTERM, SIGINT and SIGHUP end `watch`."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)

    def _note_signal(self, _number: int, _frame: object) -> None:
        self.is_stopping = True


def _rank(child: Child) -> int:
    return child.rank


def fork(
    run: Callable[[], None], *, log: Path, death_signal: signal.Signals = signal.SIGKILL
) -> int:
    """Start `run` in a new process that ends with this one, and return its id."""
    connections.close_all()  # a database connection that two processes use is broken for both
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(pid, pid)
        return pid
    _become_child(run, parent=parent, log=log, death_signal=death_signal)


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when `parent` dies; only Linux can."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def kill_group(pid: int) -> None:
    """Kill every process of the group that `pid` led; there may be none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def execute(arguments: Sequence[str | Path]) -> Callable[[], None]:
    """Return what a child runs to become another program."""
    words = [str(argument) for argument in arguments]
    return lambda: os.execv(words[0], words)


def _become_child(
    run: Callable[[], None], *, parent: int, log: Path, death_signal: signal.Signals
) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        die_with_parent(parent, death_signal)
        logs.redirect(log)
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        logger.exception("The process failed.")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
