"""What whoever holds a mobile is handed: the enrolment link of this server, and its parts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agent import pem
from devices import mobiles
from zcc.ground import here, ports


def fingerprints() -> list[str]:
    """The CAs that servers may show while a link lasts: also the one that is to come."""
    home = here.home()
    anchors = home.anchors() or [home.read_file("security/ca.cert") or b""]
    return [pem.fingerprint(anchor) for anchor in anchors if anchor]


def links(secrets: Iterable[str]) -> list[str]:
    """Return the link for each secret."""
    server, named = ports.device_url(here.identity().address), fingerprints()
    return [mobiles.address(server, secret, named) for secret in secrets]


def parts(secret: str, *, expires_at: datetime) -> dict[str, Any]:
    """Return the link, and its parts for any client of EST."""
    server = ports.device_url(here.identity().address)
    named = fingerprints()
    return {
        "link": mobiles.address(server, secret, named),
        "est_url": server + mobiles.PATH,
        "secret": secret,
        "fingerprints": named,
        "expires_at": expires_at,
    }
