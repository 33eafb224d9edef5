"""
Scripts of the device's own, in `hooks/` of its home: they run after its trust or its certificate
has changed, and once more when the zone's servers show certificates of the new CA.

A service that keeps the zone's CAs in its memory can so be told to read them again. A script runs
with the agent's rights, so only files that nobody else can write are run.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

FOLDER = "hooks"
SECONDS = 60.0  # for one script
MAX_SAID = 500  # characters of what it printed

Log = Callable[[str], None]


def run(home: Path, event: str, log: Log) -> None:
    """
    Run every script for `event` (`trust`, `certificate` or `activation`), by name, and log how
    each ended.

    Each gets ZONE_EVENT, ZONE_HOME and ZONE_TRUST, the file with the CAs that are trusted now. One
    that fails keeps neither the others nor the agent from going on.
    """
    environment = {
        **os.environ,
        "ZONE_EVENT": event,
        "ZONE_HOME": str(home),
        "ZONE_TRUST": str(home / "trust.pem"),
    }
    for script in sorted((home / FOLDER).glob("*")):
        if reason := why_not(script):
            log(f"Hook {script.name} was not run: {reason}.")
            continue
        log(f"Hook {script.name}: {_run(script, environment)}.")


def why_not(script: Path) -> str:
    """Return why the script is not run, nothing if it may be."""
    try:
        found = script.lstat()
    except OSError as error:
        return error.strerror or "it cannot be read"
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    if found.st_uid not in (0, os.getuid()):
        return "it belongs to another user"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write it"
    return "" if found.st_mode & stat.S_IXUSR else "it is not executable"


def _run(script: Path, environment: dict[str, str]) -> str:
    try:
        ended = subprocess.run(
            [str(script)],
            env=environment,
            cwd=script.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"ended after {SECONDS:.0f} s, it took too long"
    except OSError as error:
        return f"could not be run ({error.strerror})"
    said = " ".join(ended.stdout.decode(errors="replace").split())[:MAX_SAID]
    outcome = "done" if ended.returncode == 0 else f"failed with exit code {ended.returncode}"
    return f"{outcome} ({said})" if said else outcome
