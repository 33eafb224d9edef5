"""
The Certificate Updater Tool, run by a Primary Server's worker: "As soon as the SU is assigned, the
CRT will run on the new CA server, automatically." (manual)

What runs is the very file that this server offers, checked by its SHA-256, as a process of its own
on the server's own home. It ends with the worker that started it.
"""

import hashlib
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import F

from agent.faults import fault_point
from agent.files import read
from agent.home import Home
from certificates import setup_page, updater_tool
from certificates.models import Operation, ServerProgress, UpdaterTool
from devices.models import Device

TIMEOUT = 30  # seconds; on an idle server it takes less than one
MOST_SAID = 4000
_AGAIN = timedelta(seconds=5)
_AGAIN_AT_MOST = timedelta(minutes=10)


class DidNotRun(Exception):
    """The tool did not do its part; the message says why, and what to do."""


def again_after(failures: int) -> timedelta:
    """Return how long to wait after so many failed runs: longer each time."""
    return min(_AGAIN * 2 ** min(failures - 1, 10), _AGAIN_AT_MOST)


def run(operation: Operation, server: Device, *, home: Home, now: datetime) -> str:
    """
    Run the tool that this server offers on its home, and return what the tool said.

    Raises DidNotRun.
    """
    tool = _tool(operation, server, now=now)
    try:
        ended = _process(_checked_file(tool, server, home=home), home)
    except OSError as error:
        raise DidNotRun(
            f"It could not be started: {error.strerror or error}. Look whether disk or memory of "
            f"{server.name} is full."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DidNotRun(
            f"It did not end within {TIMEOUT} s and was stopped. Look whether the disk of "
            f"{server.name} is full or busy."
        ) from error
    fault_point("updater-ran")
    if ended.returncode != 0:
        raise DidNotRun(_why(ended, server))
    return ended.stdout.strip()[:MOST_SAID]


def note(row: ServerProgress, *, said: str, problem: str, at: datetime) -> None:
    """Keep the run; one that failed for the same reason as the one before is counted there."""
    last = row.updater_runs.last()
    if problem and last is not None and last.problem == problem:
        row.updater_runs.filter(pk=last.pk).update(times=F("times") + 1, last_at=at)
    else:
        row.updater_runs.create(at=at, last_at=at, said=said, problem=problem)


def _tool(operation: Operation, server: Device, *, now: datetime) -> UpdaterTool:
    """The tool as it should be now: an Immediate one must know that the new CA is active."""
    tool = updater_tool.offered_at(server)
    is_ours = tool is not None and tool.operation_id == operation.pk
    if tool is None or not is_ours or updater_tool.is_due(server.zone):
        active = operation.zone.authorities.select_related("server__heartbeat").get(state="active")
        signing = active.server or operation.initiating_server
        runs = signing.is_alive(now)
        then = "then it runs here" if runs else "that server does not run: start it"
        raise DidNotRun(f"{signing.name} has not made it yet; {then}.")
    return tool


def _checked_file(tool: UpdaterTool, server: Device, *, home: Home) -> Path:
    """Return the file in zenworks-setup, written again if it is not the one that was signed."""
    path = home.path / setup_page.FOLDER / tool.file_name
    if not _is_signed(path, tool):
        setup_page.write(server, home=home)
    if not _is_signed(path, tool):
        raise DidNotRun(
            f"The agent on {server.name} is of another version than the one that made it. Bring "
            "all Primary Servers to one version."
        )
    return path


def _is_signed(path: Path, tool: UpdaterTool) -> bool:
    return hashlib.sha256(read(path) or b"").hexdigest() == tool.sha256


def _process(path: Path, home: Home) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-I", str(path), "--home", str(home.path), "--for-worker"]
    # The tool reads from it until this process ends; nothing is ever written.
    watched, held = os.pipe()
    try:
        return subprocess.run(
            words,
            stdin=watched,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            env=_environment(),
        )
    finally:
        os.close(held)
        os.close(watched)


def _environment() -> dict[str, str]:
    """What the tool needs, and none of the worker's secrets."""
    known = {"PATH": os.environ.get("PATH"), "ZCC_FAULTS": os.environ.get("ZCC_UPDATER_FAULTS")}
    return {"LANG": "C.UTF-8", **{name: value for name, value in known.items() if value}}


def _why(ended: "subprocess.CompletedProcess[str]", server: Device) -> str:
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return f"It was killed ({name}). Look whether {server.name} ran out of memory."
    lines = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    said = lines[-1] if lines else f"It ended with {ended.returncode} and said nothing."
    return said.removesuffix(" Nothing has changed.")  # the worker did its part nevertheless
