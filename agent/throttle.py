"""Reading no faster than allowed, so that replication leaves the line to others."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.content import Source

BLOCK = 64 * 1024  # bytes; a slow line is not filled for longer than this takes


class Throttled:
    """Reads from `source` at most `rate` bytes a second; None: as fast as it comes."""

    def __init__(
        self,
        source: Source,
        rate: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._rate = source, rate
        self._clock, self._sleep = clock, sleep
        self._begun, self._read = clock(), 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes once as many may have been read by now."""
        if not self._rate:
            return self._source.read(size)
        block = self._source.read(min(size, BLOCK, self._rate))
        self._read += len(block)
        ahead = self._read / self._rate - (self._clock() - self._begun)
        if block and ahead > 0:
            self._sleep(ahead)
        return block
