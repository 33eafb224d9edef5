"""
Whether a future certificate still fits its server.

A server's DNS name, addresses or additional DNS names may change between the start of an operation
and its activation. What was made or asked for before has the names of before.
"""

from collections.abc import Iterable, Sequence

from certificates import issuing
from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.server_certificate import State
from devices.models import Device
from pki import csr
from pki.describe import UNREADABLE


def wanted_names(device: Device, *, include_additional: bool) -> list[str]:
    """Return what a certificate of the device must be valid for: DNS names, then addresses."""
    return [*issuing.dns_names(device, include_additional=include_additional), *device.addresses]


def missing_names(alternatives: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Return which of the names are not among the alternative names, as those are stored."""
    known = {entry.partition(": ")[2].lower() for entry in alternatives}
    return [name for name in wanted if name not in known and _wildcard(name) not in known]


def _wildcard(name: str) -> str:
    """The one wildcard that covers a DNS name (RFC 9525, 6.3): of its left-most label."""
    return f"*.{name.partition('.')[2]}"


def no_longer_covered(row: ServerCertificate, progress: ServerProgress) -> list[str]:
    """Return the names that a future certificate, or the request for it, lacks by now."""
    alternatives: Sequence[str] = row.facts.get("alternative_names", [])
    if not row.sha256:
        alternatives = csr.alternative_names(bytes(row.csr)) if row.csr else [UNREADABLE]
    if list(alternatives) == [UNREADABLE]:
        return []
    include = progress.wishes.include_additional_dns_names
    return missing_names(alternatives, wanted_names(progress.device, include_additional=include))


def outdated_servers(operation: Operation) -> list[Device]:
    """Return the servers whose future certificate in the operation lacks a name by now."""
    rows = operation.server_certificates.filter(state=State.FUTURE, device__retired_at=None)
    future = {row.device_id: row for row in rows}
    progress = operation.servers.filter(device__in=future).select_related("device", "operation")
    return [
        row.device
        for row in progress.order_by("device__name")
        if no_longer_covered(future[row.device_id], row)
    ]
