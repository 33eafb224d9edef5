"""
What the listeners of a server load, as it follows from the other files of its home.

The chain that is sent is always the live certificates and then one link at most: from arming until
the switch the bridge (the old CA, signed by the new one), otherwise the link that was set. The
canary and the rescue port never send one.
"""

from __future__ import annotations

from collections.abc import Callable

from agent import pem

Read = Callable[[str], "bytes | None"]


def files(read: Read) -> dict[str, bytes | None]:
    """Return the three PEM files, each with its key; None for one that is not to be there."""
    found: dict[str, bytes | None] = {
        "remint-repo/canary.pem": _future(read),
        "previous/rescue.pem": _pair(read("previous/server.cer"), read("previous/server.key")),
    }
    live = _pair(read("security/server.cer"), read("security/server.key"), link=_link(read))
    if live is not None:  # what listens is never without a certificate again
        found["security/server.pem"] = live
    return found


def _future(read: Read) -> bytes | None:
    key_der = read("remint-repo/key.der")
    return _pair(read("remint-repo/server.cer"), pem.key(key_der) if key_der else None)


def _link(read: Read) -> bytes | None:
    bridge = read("remint-repo/bridge.cer")
    if bridge and read("remint-repo/go-ahead.json"):
        return bridge
    return read("security/link.cer")


def _pair(chain: bytes | None, key: bytes | None, *, link: bytes | None = None) -> bytes | None:
    return pem.join([*filter(None, [chain, link]), key]) if chain and key else None
