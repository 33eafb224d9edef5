"""
Run a Python module or file as on a device whose firewall lets nobody out to one port.

    python -P behind_firewall.py PORT MODULE-OR-FILE ARGUMENT ...

It is run as a file, so that an agent does not load the console's code.
"""

import errno
import os
import runpy
import sys
from typing import Any


def close(port: int) -> None:
    """From now on a connection to `port` is refused before it leaves this process."""

    def guard(event: str, arguments: Any) -> None:
        if event == "socket.connect" and arguments[1][1:2] == (port,):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))

    sys.addaudithook(guard)


def main() -> None:
    """Do what the command line says."""
    port, program = int(sys.argv[1]), sys.argv[2]
    close(port)
    del sys.argv[:2]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
