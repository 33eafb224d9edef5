"""
What serves a device's roles: their ports, listened on as soon as each can be had.

A port that another program has taken costs the device that role, not its agent: it goes on,
reports why, and tries again until the port is free or the role is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from agent import serve
from agent.device import Device
from agent.roles import TRIES_AGAIN
from agent.serve import Listener, ListenerThread, Log, Port

AGAIN = 5.0  # seconds between two tries to have a port

# What `serve.ports_of` calls the ports of a role.
PORTS = {"content": ("content",), "authentication": ("tls", "canary", "rescue")}


class PatientListener(Listener):
    """
    Listens on those of `ports` that can be had, and on the others once they can, until `stop`.

    `ports` are by role. `wake` is called, from the listener's thread, when one more is had.
    """

    def __init__(
        self,
        address: str,
        ports: Mapping[str, Sequence[Port]],
        *,
        log: Log,
        wake: Callable[[], None],
        again: float = AGAIN,
    ) -> None:
        super().__init__(address, [port for role in ports.values() for port in role])
        self.by_role = ports
        self.log = log
        self.wake = wake
        self.again = again
        self._missing: dict[int, str] = {}  # port number: why; replaced whole, for other threads
        self._tries: asyncio.Task[None] | None = None
        self._stopped: asyncio.Event | None = None

    def unserved(self) -> dict[str, str]:
        """Return the roles that lack a port, each with the sentences that say why."""
        missing = self._missing
        reasons = {
            role: [missing[port.number] for port in ports if port.number in missing]
            for role, ports in self.by_role.items()
        }
        return {role: " ".join(why) for role, why in reasons.items() if why}

    async def start(self) -> None:
        """Listen on what can be had now, and go on trying for the rest."""
        if left := await self._listen_on(self.ports):
            self._stopped = asyncio.Event()  # here: Python 3.9 binds it to the loop that runs
            self._tries = asyncio.ensure_future(self._try_again(left, self._stopped))

    async def stop(self) -> None:
        """Listen no more, try no more, and end all connections."""
        if self._tries is not None and self._stopped is not None:
            self._stopped.set()  # not cancelled: a try that succeeds then would leave a socket
            await self._tries
        await super().stop()

    async def _try_again(self, left: Sequence[Port], stopped: asyncio.Event) -> None:
        while left:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stopped.wait(), self.again)
            if stopped.is_set():
                return
            before, left = left, await self._listen_on(left)
            if len(left) < len(before):
                self.wake()

    async def _listen_on(self, ports: Sequence[Port]) -> list[Port]:
        """Listen on each of `ports` that can be had; return the others."""
        missing: dict[int, str] = {}
        for port in ports:
            try:
                await self.listen(port)
            except OSError as error:
                missing[port.number] = f"Port {port.number} at {self.address}: {_why(error)}."
            else:
                if port.number in self._missing:
                    self.log(f"Port {port.number} at {self.address} is listened on now.")
        for number, reason in missing.items():
            if self._missing.get(number) != reason:
                self.log(f"{reason} {TRIES_AGAIN}")
        self._missing = missing
        return [port for port in ports if port.number in missing]


def _why(error: OSError) -> str:
    """Return the reason alone; asyncio puts the address before it, or gives no number."""
    if error.errno in (None, errno.EADDRNOTAVAIL):  # None: newer asyncio
        return "Not an address of this device"
    if error.errno < 0:  # of a name that does not resolve
        return error.strerror or str(error)
    return os.strerror(error.errno)


@contextlib.contextmanager
def serving(
    device: Device,
    numbers: Mapping[str, int],
    *,
    address: str | None,
    log: Log,
    wake: Callable[[], None],
    again: float = AGAIN,
) -> Iterator[PatientListener]:
    """
    Serve what the device's roles are, and let the device know which of them it cannot.

    `numbers` are the ports by the names of `serve.ports_of`; `address` is by default the
    device's first one.
    """
    ports = {
        role: serve.ports_of(device.home, **{name: numbers[name] for name in PORTS[role]}, log=log)
        for role in device.identity.roles
        if role in PORTS
    }
    listener = PatientListener(
        address or device.identity.addresses[0], ports, log=log, wake=wake, again=again
    )
    thread = ListenerThread(listener)
    thread.start()
    device.unserved = listener.unserved
    try:
        yield listener
    finally:
        thread.stop()
