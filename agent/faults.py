"""
Places where a test may stop this process. Without ZCC_FAULTS in the environment they do nothing.

ZCC_FAULTS is a list of NAME:ACTION[:NTH] with commas between; NTH counts from 1, which is also the
default. Actions: kill (SIGKILL), stop (SIGSTOP), raise (an OSError), sleep=SECONDS.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

_passed: Counter[str] = Counter()


def forget() -> None:
    """Count from 1 again: for whoever makes a new wish in a process that has passed some places."""
    _passed.clear()


def fault_point(name: str) -> None:
    """Do what ZCC_FAULTS asks for at the place `name`, usually nothing."""
    wanted = os.environ.get("ZCC_FAULTS")
    if not wanted:
        return
    _passed[name] += 1
    for fault in wanted.split(","):
        place, _, rest = fault.strip().partition(":")
        action, _, nth = rest.partition(":")
        if place == name and _passed[name] == int(nth or 1):
            _act(action, name)


def _act(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "raise":
        raise OSError(f"Fault asked for at {name}.")
    elif action.startswith("sleep="):
        time.sleep(float(action[len("sleep=") :]))
    else:
        raise ValueError(f"ZCC_FAULTS does not know the action {action!r}.")
