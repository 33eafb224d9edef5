"""Which content servers are near to a device, by their addresses and its own."""

import hashlib
import ipaddress
from collections.abc import Iterable

from devices.models import Device

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What two addresses share, in bits of IPv4 and of IPv6: the usual sizes of a subnet, and of a site.
_SUBNET = {4: 24, 6: 64}
_SITE = {4: 16, 6: 48}
_SAME_SUBNET, _SAME_SITE, _ELSEWHERE = range(3)


def in_order(servers: Iterable[Device], *, device: Device) -> list[Device]:
    """
    Return the servers as the device shall ask them, the nearest first.

    Those of its subnet, then those of its site, then the others; in each of these, Satellites
    before Primary Servers. Among equals each device has an order of its own, so that they share
    the load, and it stays the same.
    """
    return sorted(
        servers,
        key=lambda server: (
            _distance(server, device),
            server.is_primary_server,
            hashlib.sha256(f"{device.guid} {server.guid}".encode()).digest(),
        ),
    )


def _distance(server: Device, device: Device) -> int:
    """How far apart they are; a device that names no address is as far from each."""
    pairs = [(here, there) for here in _addresses(device) for there in _addresses(server)]
    if any(_share(here, there, _SUBNET) for here, there in pairs):
        return _SAME_SUBNET
    if any(_share(here, there, _SITE) for here, there in pairs):
        return _SAME_SITE
    return _ELSEWHERE


def _addresses(device: Device) -> list[_Address]:
    found = []
    for text in device.addresses:
        try:
            found.append(ipaddress.ip_address(str(text)))
        except ValueError:
            continue  # a name, or what an old agent sent
    return found


def _share(here: _Address, there: _Address, bits: dict[int, int]) -> bool:
    if here.version != there.version:
        return False
    rest = here.max_prefixlen - bits[here.version]
    return int(here) >> rest == int(there) >> rest
