"""Processes that live at another time, by Debian's faketime."""

import shutil
import subprocess

import pytest

needs_faketime = pytest.mark.skipif(
    shutil.which("faketime") is None, reason="faketime is not installed"
)


def shifted(by):
    """Return the environment in which a process and all its children are off, such as `+10s`."""
    words = ["faketime", "-f", by, "env"]
    lines = subprocess.run(words, text=True, capture_output=True, check=True).stdout.splitlines()
    wanted = dict(
        line.split("=", 1) for line in lines if line.startswith(("LD_PRELOAD", "FAKETIME"))
    )
    wanted.pop("FAKETIME_SHARED", None)  # ends with that process
    return {**wanted, "FAKETIME": by}
