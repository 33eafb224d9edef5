"""Where this device is: the address it reaches servers from, and the name of its host, today."""

from __future__ import annotations

import platform
import socket
from dataclasses import replace
from urllib.parse import urlsplit

from agent.state import Identity

UNKNOWN = "127.0.0.1"


def own_address(server: str) -> str:
    """Return the address from which this device reaches the server at this URL; nothing is sent."""
    try:
        parts = urlsplit(server)
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, target = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except (OSError, ValueError):  # the call that follows says what is wrong with the server
        return UNKNOWN


def found(identity: Identity, server: str) -> Identity:
    """
    Return who the device is with the address and the DNS name that its host has now.

    What was said when it enrolled stays; so does an address that still is one of the host's.
    """
    identity = _noted(identity, server)
    if identity.finds_dns_name and (name := platform.node()):
        identity = replace(identity, dns_name=name)
    if identity.finds_addresses and not all(map(is_own, identity.addresses)):
        address = own_address(server)
        if address != UNKNOWN:  # the network is away: the address may be the same again later
            identity = replace(identity, addresses=[address])
    return identity


def _noted(identity: Identity, server: str) -> Identity:
    """
    Return the identity with what an older agent did not note: whether the host said these.

    It did if it still says them. Whatever has changed since cannot be told from what was given.
    """
    if identity.finds_dns_name is None and (name := platform.node()):
        identity = replace(identity, finds_dns_name=identity.dns_name == name)
    if identity.finds_addresses is None and (address := own_address(server)) != UNKNOWN:
        identity = replace(identity, finds_addresses=identity.addresses == [address])
    return identity


def is_own(address: str) -> bool:
    """Whether a socket of this host can have the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
