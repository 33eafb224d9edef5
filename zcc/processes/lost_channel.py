"""
A worker outlives its broker: what it still holds of a lost connection ends nothing.

kombu 5.7 forgets a lost channel's connection and then asks it for the broker's address: when the
task that was running then is acknowledged, or when its message is to be given back. The
AttributeError ended the worker in the middle of its other tasks.
"""

import logging
from typing import Any

from kombu.transport import redis

logger = logging.getLogger(__name__)


class Channel(redis.Channel):  # type: ignore[misc]
    """kombu's channel, which after its connection is lost says so as a ConnectionError."""

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge; after a loss nobody is there to be told, and a message may come twice."""
        if self.closed:
            logger.info("A task ended whose connection to the broker was lost meanwhile.")
            return
        super().basic_ack(delivery_tag, multiple=multiple)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("The connection of this channel to the broker was lost.")
        found: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        return found


def install() -> None:
    """Let every connection to Redis or Valkey that this process makes use it."""
    redis.Transport.Channel = Channel
