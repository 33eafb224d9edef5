"""
Which Primary Server this process belongs to, and where it keeps its things.

Processes are forked after Django is loaded, so the server's name is asked of the environment at
each call and not read into a setting. What a server must know of itself without the database is in
`server.json` in its home.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from agent.home import Home

VARIABLE = "ZCC_SERVER"
FILE = "server.json"
UPDATE_KEY = "security/update-key.pub"  # the zone's Ed25519 public key, 32 bytes
ISSUERS = "security/identity-issuers.pem"  # the CAs whose identities the device API lets in
SKEW = "run/skew"  # seconds, as text


class NoServer(Exception):
    """This process does not belong to a server."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a Primary Server knows of itself: also when database and broker are away."""

    name: str
    guid: str
    dns_name: str
    address: str
    # Whether the DNS name is the host's own name; None: nobody has looked (whereabouts.keep_up).
    follows_host_name: bool | None = None

    @property
    def queue(self) -> str:
        """The queue that only this server's worker serves."""
        return f"server.{self.guid}"


def zcc_home() -> Path:
    """Return the folder of everything that is not code."""
    return Path(settings.ZCC_HOME)


def server_names() -> list[str]:
    """Return the names of the servers whose homes are on this host, in order."""
    return sorted(path.parent.name for path in zcc_home().glob(f"servers/*/{FILE}"))


def server_name() -> str:
    """Return the name of this process's server: ZCC_SERVER, or the only one on this host."""
    if name := os.environ.get(VARIABLE):
        return name
    names = server_names()
    if len(names) != 1:
        raise NoServer(f"Set {VARIABLE} to one of: {', '.join(names) or 'no server is set up'}.")
    return names[0]


def home(name: str | None = None) -> Home:
    """Return the home of this process's server, or of the server `name`."""
    return Home(zcc_home() / "servers" / (name or server_name()))


def identity(name: str | None = None) -> Identity:
    """Return what this process's server, or the server `name`, knows of itself."""
    path = zcc_home() / "servers" / (name or server_name()) / FILE
    return Identity(**json.loads(path.read_text()))


def write_identity(identity: Identity) -> None:
    """Store what a server knows of itself in its home; its processes start from then on."""
    data = json.dumps(asdict(identity), indent=2).encode() + b"\n"
    home(identity.name).write_file(FILE, data, 0o600)


def write_skew(skew: timedelta) -> None:
    """Store how far this host's clock is ahead of the database's, for the supervisor's sake."""
    path = _run_file(SKEW, server_name())
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{skew.total_seconds():.3f}\n")
    temporary.replace(path)


def last_skew(name: str) -> timedelta:
    """Return the skew that the server's worker measured last, when there still was a database."""
    try:
        return timedelta(seconds=float(_run_file(SKEW, name).read_text()))
    except (OSError, ValueError):
        return timedelta(0)


def _run_file(relative: str, name: str) -> Path:
    path = zcc_home() / "servers" / name / relative
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
