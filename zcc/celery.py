"""
Celery carries out; it remembers nothing.

What is due is a column in the database, and a message only says "look at row N". So there is no
eta, no countdown, no chain and no result, and a lost message costs one tick (docs/architecture.md).
"""

import logging
import os
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutting_down
from django.db import close_old_connections

from zcc.ground import clock, here

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zcc.settings")

logger = logging.getLogger(__name__)

# A worker that is silent for ZCC_LATE_AFTER (60 s) is late; this leaves room for several misses.
HEARTBEAT_SECONDS = 5
HEARTBEAT = "devices.tasks.heartbeat"
LOOK_AFTER_CONTENT = "systemupdates.tasks.look_after_content"
FREE_LEFTOVERS = "certificates.tasks.free_leftovers"

app = Celery("zcc")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["devices", "systemupdates", "certificates"])

_stopping = threading.Event()


def _free_leftovers(**_: Any) -> None:
    """Before it takes any work: free what a predecessor held that was killed."""
    _run(FREE_LEFTOVERS)


def _start_heartbeat(**_: Any) -> None:
    """Say "I am here" from a thread of the worker, because that must not depend on the broker."""
    _stopping.clear()
    threading.Thread(target=_beat_until_stopped, name="heartbeat", daemon=True).start()


def _stop_heartbeat(**_: Any) -> None:
    _stopping.set()


def _beat_until_stopped() -> None:
    while True:
        _beat_once()
        if _stopping.wait(HEARTBEAT_SECONDS):
            return


def _beat_once() -> None:
    _run(HEARTBEAT)
    _run(LOOK_AFTER_CONTENT)


def _run(task: str) -> None:
    """Run a task of our own here and now, without the broker."""
    close_old_connections()
    try:
        app.tasks[task]()
        here.write_skew(clock.skew())
    except Exception:  # the database may be away for hours; the next beat tries again
        logger.warning("%s could not be done.", task, exc_info=True)
    finally:
        close_old_connections()


worker_init.connect(_free_leftovers)
worker_init.connect(_start_heartbeat)
worker_shutting_down.connect(_stop_heartbeat)
