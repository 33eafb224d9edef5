"""Log files of the processes: UTC, appended by the process, cut by its supervisor when large."""

import logging
import os
import shutil
import sys
import time
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3


class UTCFormatter(logging.Formatter):
    """Times as 2026-11-24T02:00:00.123Z."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


def redirect(path: Path) -> None:
    """Send this process's stdout and stderr to the end of the file `path`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def rotate(path: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """
    Copy a log that has grown large to PATH.1 and empty it, keeping KEPT old ones.

    Copied and not renamed, because the process goes on writing to the file it has open; it opened
    it for appending, so its next line stands at the new beginning.
    """
    if not path.exists() or path.stat().st_size < max_bytes:
        return
    for number in range(KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
