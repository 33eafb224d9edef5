"""
The agent runs: refresh, one step, again; sleep. The only place that reads the clock.

The switch to a staged certificate has a thread of its own, because a refresh may hang for a while
in a broken network and the activation time does not wait for it.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
import time
from datetime import datetime, timezone

from agent import hooks, plan
from agent.client import NoAnswer, Refused
from agent.device import Device
from agent.held import GoAhead
from agent.home import HomeError
from agent.plan import Step
from agent.waiting import Waiting

LOOK = 0.25  # seconds between two looks at the clock before a switch
SHORTEST = 0.1  # seconds between two refreshes
MAX_STEPS = 10  # in one turn


def now() -> datetime:
    """Return the time by this device's clock."""
    return datetime.now(timezone.utc)


def log(line: str) -> None:
    """Print a line with the time."""
    with contextlib.suppress(OSError):
        print(f"{now():%Y-%m-%dT%H:%M:%SZ} {line}", flush=True)


class Bell:
    """Ends a sleep early. Safe in signal handlers and from any thread."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """Let the sleeper wake, or the next sleep not begin."""
        with contextlib.suppress(BlockingIOError):  # it has been rung often enough
            os.write(self._write, b"!")

    def sleep(self, seconds: float) -> None:
        """Sleep until the bell rings, at most so long."""
        select.select([self._read], [], [], max(seconds, 0))
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)


class Loop:
    """Keeps one device up to date until `stop`."""

    def __init__(self, device: Device, bell: Bell) -> None:
        self.device = device
        self.bell = bell
        self._stopped = threading.Event()
        self._failures = 0

    def run(self) -> None:
        """Refresh again and again. Returns after `stop`, or when the device is to begin anew."""
        if self.device.is_authentication():
            threading.Thread(target=self._switch_in_time, daemon=True).start()
        Waiting(self.device, self.bell.ring, self._stopped).start()
        while not self._stopped.is_set():
            pause = self.turn()
            if self.device.begins_anew:
                self._stopped.set()  # its threads end, too
                return
            self.bell.sleep(max(pause, SHORTEST))

    def stop(self) -> None:
        """Let `run` return, after the call that it is in. Safe in a signal handler."""
        self._stopped.set()
        self.bell.ring()

    def turn(self) -> float:
        """Refresh once and do what is due then; return the seconds until the next turn."""
        try:
            interval = self.device.refresh(now)
            self._do_what_is_due(allowed=set(Step))
            self.device.rehearsing.go_on(now=self._server_now())
        except NoAnswer as error:
            return self._failed(str(error), self.device.state.interval, None)
        except Refused as error:
            return self._failed(str(error), self.device.state.interval, error)
        self._failures = 0
        update = self.device.manifest.update
        return plan.until_refresh(
            interval=interval,
            now=self._server_now(),
            activate_at=update.activate_at if update else None,
            has_reports=self.device.has_news(),
            random=random.random(),
        )

    def _failed(self, reason: str, interval: float, refusal: Refused | None) -> float:
        self._failures += 1
        self._do_what_is_due(allowed=plan.LOCAL)
        self.device.rehearsing.go_on(now=self._server_now())
        if refusal is not None and refusal.retry_after is None:
            seconds = interval
        else:
            seconds = plan.until_retry(
                interval=interval,
                failures=self._failures,
                retry_after=refusal.retry_after if refusal else None,
                random=random.random(),
            )
        log(f"{reason} Next try in {seconds:.1f} s.")
        return seconds

    def _do_what_is_due(self, *, allowed: set[Step]) -> None:
        """Do one step after the other, until one is to be reported first."""
        for _ in range(MAX_STEPS):
            step = plan.next_step(self.device.situation(), now=self._server_now())
            if step not in allowed or not self.device.act(step, now=self._server_now()):
                return
            if self.device.has_news():
                return

    def _server_now(self) -> datetime:
        return self.device.server_time(now())

    def _switch_in_time(self) -> None:
        """Activate what is armed when its time has come, whatever else this process waits for."""
        go_ahead: GoAhead | None = None
        key = self.device.identity.key()
        seen = None
        while not self._stopped.is_set():
            time.sleep(LOOK)
            try:
                if (looked := self._look_at_go_ahead()) != seen:
                    seen, go_ahead = looked, self.device.home.armed(key)
                if go_ahead is not None and self._server_now() >= go_ahead.activate_at:
                    self._switch(go_ahead)
                    go_ahead = None
            except (HomeError, OSError) as error:
                log(f"The new server certificate could not be put to use. {error}")
                seen = None
                time.sleep(plan.FIRST_RETRY)

    def _look_at_go_ahead(self) -> int | None:
        try:
            return (self.device.home.path / "remint-repo/go-ahead.json").stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _switch(self, go_ahead: GoAhead) -> None:
        if self.device.home.activate(go_ahead.operation):
            log("The new server certificate is in use.")
            hooks.run(self.device.home.path, "certificate", log)
        self.bell.ring()
