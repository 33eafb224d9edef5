"""
When devices were heard of that had nothing new: gathered, and written every two seconds.

A process that is stopped writes what it has; one that is killed loses the last two seconds of it.
What could not be written is tried again with the next.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import Error, close_old_connections, connection

from devices.contacts import Contact

logger = logging.getLogger(__name__)

EVERY = 2.0  # seconds
LONGEST = 1.5  # seconds that a server which is being stopped takes for it


class LastContacts:
    """The contacts that are still to be written by `write`, the last one of each device."""

    def __init__(self, write: Callable[[Iterable[Contact]], None], *, every: float = EVERY) -> None:
        self._write, self._every = write, every
        self._gathered: dict[int, Contact] = {}
        self._writing: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="last-contacts")

    def __len__(self) -> int:
        return len(self._gathered)

    def note(self, contacts: Iterable[Contact]) -> None:
        """Have these written; from the event loop."""
        self._gathered.update((contact.device, contact) for contact in contacts)
        if self._gathered and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        while self._gathered:
            await asyncio.sleep(self._every)
            await self.flush()

    async def flush(self) -> None:
        """Write what there is now."""
        taken, self._gathered = self._gathered, {}
        if not taken:
            return
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._executor, self._written, list(taken.values())):
            self._gathered = taken | self._gathered

    def _written(self, contacts: list[Contact]) -> bool:
        close_old_connections()
        try:
            self._write(contacts)
        except Error as error:
            logger.warning("Last contacts are written later: %s", error)
            connection.close()
            return False
        finally:
            close_old_connections()
        return True

    async def live(self, receive: Any, send: Any) -> None:
        """Take part in the start and the end of the server: at the end write what there is."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
                continue
            try:
                await asyncio.wait_for(self.flush(), LONGEST)
            except TimeoutError:
                logger.warning("The last contacts of %d devices are not written.", len(self))
            await send({"type": "lifespan.shutdown.complete"})
            return
