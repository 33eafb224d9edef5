"""
Where this Primary Server's host is today: the address to listen at, and the host's name.

The rules are those of an agent (`agent.whereabouts`): a given address counts while it is one of the
host's, and the DNS name follows the host only if it was the host's own name. Certificates go by the
server's row; what it finds here it only says, and an administrator takes it over.
"""

import ipaddress
import platform
from dataclasses import replace

from agent import whereabouts
from zcc.ground import here

# Documentation addresses (RFC 5737, RFC 3849): the way there is the way out of the host.
OUTSIDE = {4: "https://192.0.2.1", 6: "https://[2001:db8::1]"}


def address(identity: here.Identity) -> str:
    """
    Return where to listen: at the address of its row, or at another if the host no longer has it.

    One that is this host's alone (127.0.0.0/8) is never given up, and without a network nothing is
    known.
    """
    known = ipaddress.ip_address(identity.address)
    if known.is_loopback or whereabouts.is_own(identity.address):
        return identity.address
    found = whereabouts.own_address(OUTSIDE[known.version])
    return identity.address if found == whereabouts.UNKNOWN else found


def dns_name(identity: here.Identity) -> str:
    """Return the DNS name: the host's name today, if it was the host's before."""
    name = platform.node().lower()
    return name if identity.follows_host_name and name else identity.dns_name


def keep_up(identity: here.Identity, *, address: str, dns_name: str) -> here.Identity:
    """
    Let the server's home know the address and DNS name that its row has; return what it knows.

    The first time it is also noted whether the DNS name is the host's own.
    """
    follows = identity.follows_host_name
    if follows is None:
        follows = dns_name == platform.node().lower()
    known = replace(identity, address=address, dns_name=dns_name, follows_host_name=follows)
    if known != identity:
        here.write_identity(known)
    return known
