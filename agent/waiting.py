"""
Waits, in a thread of its own, to be asked by a server to refresh now.

It is a call that the server answers when there is a reason, or after a while. Nothing depends on
it: a device that cannot wait refreshes by its schedule.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from agent import client, trust
from agent.client import NoAnswer, Refused
from agent.device import Device

SECONDS = 75.0  # a server answers earlier, see zcc.parked
FIRST_RETRY, LONGEST_RETRY = 2.0, 300.0


class Waiting:
    """Rings `ring` whenever a server asks the device to refresh, until `stopped`."""

    def __init__(self, device: Device, ring: Callable[[], None], stopped: threading.Event) -> None:
        self.device, self.ring, self.stopped = device, ring, stopped

    def start(self) -> None:
        """Begin to wait. The thread ends with the process."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        failures = 0
        while not self.stopped.is_set():
            try:
                if self._is_asked():
                    self.ring()
                    self.stopped.wait(1)  # the refresh takes the request back
                failures = 0
            except (NoAnswer, Refused, ValueError, LookupError):  # the refresh says what is wrong
                failures += 1
                longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(failures, 10))
                self.stopped.wait(longest * (0.5 + random.random() / 2))

    def _is_asked(self) -> bool:
        """Wait at the server that answered last; return whether it asks for a refresh."""
        context = self.device.context(trust.current(self.device.home))
        answer = client.call(
            self.device.state.servers[0],
            "/device/wait",
            context=context,
            token=self.device.identity.token,
            body=lambda peer: {},
            patience=SECONDS,
        )
        return answer.body.get("refresh") is True
