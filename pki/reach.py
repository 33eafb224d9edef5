"""
Whether a client that trusts these CAs accepts what a server sends: by real path validation.

`cryptography.x509.verification` judges each chain (RFC 5280, 6), names and purposes included; what
a client could not verify itself, such as its clock or a firewall, is no part of it.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from pki import names

SECOND = timedelta(seconds=1)


class Way(Enum):
    """How a client gets through to a server, in the words of the design."""

    YES = "Yes"
    LINK = "By link"
    BACKWARD_LINK = "By backward link"
    RESCUE = "By rescue port"
    NO = "No"


@dataclass(frozen=True)
class Sent:
    """
    What a server sends: `chain` leaf first and without root, then one link at most.

    `is_backward` tells the link's direction: it vouches for the CA from before. `rescue` is what
    the rescue port shows; empty if it shows nothing.
    """

    name: str
    chain: tuple[x509.Certificate, ...]
    link: x509.Certificate | None = None
    is_backward: bool = False
    rescue: tuple[x509.Certificate, ...] = ()


def way(sent: Sent, anchors: Sequence[x509.Certificate], *, at: datetime) -> Way:
    """Return how a client that trusts `anchors` and nothing else gets through at the time `at`."""
    if not anchors or not sent.chain:
        return Way.NO
    if is_accepted(sent.chain, anchors, name=sent.name, at=at):
        return Way.YES
    if sent.link and is_accepted((*sent.chain, sent.link), anchors, name=sent.name, at=at):
        return Way.BACKWARD_LINK if sent.is_backward else Way.LINK
    if sent.rescue and _is_rescued(sent, anchors, at=at):
        return Way.RESCUE
    return Way.NO


def _is_rescued(sent: Sent, anchors: Sequence[x509.Certificate], *, at: datetime) -> bool:
    """The agent asks the rescue port without looking at dates: so it is judged in its lifetime."""
    ends = [one.not_valid_after_utc for one in (*sent.rescue, *anchors)]
    moments = {min(at, end - SECOND) for end in ends}
    return any(is_accepted(sent.rescue, anchors, name=sent.name, at=then) for then in moments)


def is_accepted(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    name: str,
    at: datetime,
) -> bool:
    """Return whether a path leads from the first of `chain` to one of `anchors`."""
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(ipaddress.ip_address(name)) if names.is_ip(name) else x509.DNSName(name)
    )
    verifier = PolicyBuilder().store(Store(list(anchors))).time(at).build_server_verifier(subject)
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except VerificationError:
        return False
    return True
