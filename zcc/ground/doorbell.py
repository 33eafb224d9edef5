"""
The one place that sends messages: "look at row N", after the commit.

A message carries ids only, because whoever can read the broker or a log can read it. One that is
lost is rung again by the tick, so a broker that is down or frozen never fails or delays a click.
"""

import logging
import time
from functools import cache, partial
from typing import Any

from celery import current_app
from django.db import transaction
from kombu import pools
from kombu.connection import Connection

logger = logging.getLogger(__name__)

TIMEOUT = 0.4  # seconds, for connecting and for each answer
PAUSE = 2.0  # seconds in which a broker that has just failed is not asked again
EXPIRES = 3600  # seconds; less than ten minutes would depend on the clock of the worker

Id = int | str

_silent_until = 0.0


def ring(task: str, *, queue: str, **ids: Id) -> None:
    """Have a worker of `queue` run `task` with `ids`, once this transaction has committed."""
    transaction.on_commit(partial(_send, task, queue, ids), robust=True)


def _send(task: str, queue: str, ids: dict[str, Id]) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        with pools.producers[_connection()].acquire(block=True, timeout=TIMEOUT) as producer:
            current_app.send_task(
                task, kwargs=ids, queue=queue, producer=producer, retry=False, expires=EXPIRES
            )
    except Exception as error:  # kombu lets the errors of every transport through
        _silent_until = time.monotonic() + PAUSE
        logger.warning("The broker does not answer, so the tick will ring for %s: %s", task, error)


@cache
def _connection() -> Connection:
    """Return a connection that gives up early; the worker's own must not, it waits for work."""
    configured: dict[str, Any] = current_app.conf.broker_transport_options
    impatient = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "max_retries": 0}
    connection: Connection = current_app.connection_for_write(
        transport_options={**configured, **impatient}
    )
    return connection
