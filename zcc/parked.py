"""
Devices that wait to be rung for: a coroutine each, and one query a second for all of them.

A parked call cost a thread once, and 200 of them starved 32 threads for 45 s. It says nothing but
"refresh now"; whatever a device is told or may do is decided at its refresh.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

SECONDS = 50.0  # shorter than what proxies and firewalls forget a silent connection after
LOOK_EVERY = 1.0
MOST = 5000  # on one server; each holds a TLS connection of about 50 kB


class TooMany(Exception):
    """This server holds as many waiting devices as it can."""


class Parked:
    """Waiting devices, by id. `asked` returns the ids of those that are to refresh."""

    def __init__(
        self, asked: Callable[[], set[int]], executor: Executor, *, most: int = MOST
    ) -> None:
        self._asked, self._executor, self._most = asked, executor, most
        self._bells: dict[int, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._bells)

    async def wait(self, device: int, *, gone: asyncio.Event, seconds: float = SECONDS) -> bool:
        """Return whether the device is to refresh, at the latest after `seconds` or when gone."""
        if len(self._bells) >= self._most:
            raise TooMany
        bell = asyncio.Event()
        self._bells.setdefault(device, set()).add(bell)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        waits = [asyncio.create_task(event.wait()) for event in (bell, gone)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            self._leave(device, bell)
        return bell.is_set()

    def _leave(self, device: int, bell: asyncio.Event) -> None:
        bells = self._bells[device]
        bells.discard(bell)
        if not bells:
            del self._bells[device]

    async def _look(self) -> None:
        """Ring for those that are asked to refresh, once a second as long as anybody waits."""
        loop = asyncio.get_running_loop()
        while self._bells:
            for device in await loop.run_in_executor(self._executor, self._asked):
                for bell in self._bells.get(device, ()):
                    bell.set()
            await asyncio.sleep(LOOK_EVERY)
