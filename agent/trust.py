"""
The trust file of a device: the CAs by which it verifies the zone's servers.

It is replaced as a whole, after a server was reached with the new set alone, and it stays byte for
byte what it is while the set is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent import pem
from agent.home import Home

FILE = "trust.pem"


def current(home: Home) -> bytes:
    """Return the trust file, empty before enrolment."""
    return home.read_file(FILE) or b""


def fingerprints(trust: bytes) -> list[str]:
    """Return the SHA-256 of each CA in `trust`, sorted."""
    return sorted(pem.fingerprint(certificate) for certificate in pem.split(trust))


def only(trust: Sequence[bytes], fingerprint: str) -> bytes:
    """Return the CA of `trust` with this fingerprint. Raises ValueError if there is none."""
    for certificate in trust:
        if pem.fingerprint(certificate) == fingerprint:
            return certificate
    raise ValueError(f"There is no CA with the fingerprint {fingerprint}.")


def replace(home: Home, anchors: Sequence[bytes], probe: Callable[[bytes], object]) -> bool:
    """
    Trust exactly `anchors` from now on, once `probe` accepts them; return whether that is new.

    Whatever `probe` raises comes through, and the old trust stays.
    """
    candidate = pem.join(anchors)
    if fingerprints(candidate) == fingerprints(current(home)):
        return False
    probe(candidate)
    home.write_file(FILE, candidate)
    return True
