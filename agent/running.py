"""One process at a time runs a device; another one rings for it, or refreshes in its place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from agent import loop, plan
from agent.device import Device
from agent.home import Home
from agent.loop import log

LOCK = "agent.lock"


class AlreadyRunning(Exception):
    """Another process runs this device; `pid` is its number, 0 if it only just started."""

    def __init__(self, pid: int) -> None:
        super().__init__("The agent runs already.")
        self.pid = pid


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Be the only process that runs the device in `home`. Raises AlreadyRunning."""
    with Path(home.path / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise AlreadyRunning(int(file.read() or 0)) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def refresh(home: Home) -> bool:
    """
    Refresh the device now and do what is due; return whether this process did.

    False: the agent that runs was rung for. Raises NoAnswer, Refused, NotEnrolled, AlreadyRunning.
    """
    try:
        with only_one(home):
            device = Device(home, log=log, wake=lambda: None)
            device.refresh(loop.now)
            while device.act(_due(device), now=device.server_time(loop.now())):
                device.refresh(loop.now)
    except AlreadyRunning as error:
        if not error.pid:
            raise
        os.kill(error.pid, signal.SIGHUP)
        return False
    return True


def _due(device: Device) -> plan.Step:
    return plan.next_step(device.situation(), now=device.server_time(loop.now()))
