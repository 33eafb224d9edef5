"""
What the listeners of a server load, as it follows from the other files of its home.

The chain that is sent is always the live certificates and then one link at most: from arming until
the switch the bridge (the old CA, signed by the new one), otherwise the link that was set. The
rescue port never sends one, nor does the canary, whose file is what is staged (see `home`).
"""

from __future__ import annotations

from collections.abc import Callable

from agent import pem

Read = Callable[[str], "bytes | None"]


def files(read: Read) -> dict[str, bytes | None]:
    """Return the PEM files, each with its key; None for one that is not to be there."""
    found: dict[str, bytes | None] = {
        "previous/rescue.pem": _pair(read("previous/server.cer"), read("previous/server.key")),
    }
    live = _pair(read("security/server.cer"), read("security/server.key"), link=_link(read))
    if live is not None:  # what listens is never without a certificate again
        found["security/server.pem"] = live
    return found


def _link(read: Read) -> bytes | None:
    bridge = read("remint-repo/bridge.cer")
    if bridge and read("remint-repo/go-ahead.json"):
        return bridge
    return read("security/link.cer")


def _pair(chain: bytes | None, key: bytes | None, *, link: bytes | None = None) -> bytes | None:
    return pem.join([*filter(None, [chain, link]), key]) if chain and key else None
