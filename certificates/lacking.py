"""
Servers that lack what they need for the activation, and what becomes of the activation then.

With an external CA that is decided beforehand: hold it, or go on without them. They stay on their
old certificate then, are shown, and switch when their certificate has come.
"""

from django.db.models import QuerySet

from certificates import readiness
from certificates.models import Operation, ServerProgress
from certificates.models.operation import CsrMode, WithoutCertificate
from certificates.outdated import outdated_servers
from certificates.wording import listed
from devices.models import Device, Kind


def lacking(operation: Operation) -> QuerySet[ServerProgress]:
    """Return the servers, by name, that have no certificate of an external CA in the operation."""
    if not operation.is_to_external:
        return operation.servers.none()
    rows = readiness.without_certificate(operation)
    return rows.select_related("device", "operation").order_by("device__name")


def why_held(operation: Operation) -> str | None:
    """Return why certificates that are missing or outdated hold the activation, None if none."""
    missing = [row.device for row in lacking(operation)]
    if missing and _holds(operation, missing):
        verb, it = ("has", "it") if len(missing) == 1 else ("have", "them")
        what = f"Put {it} in place" if operation.csr_mode == CsrMode.MANUAL else f"Import {it}"
        return f"{_names(missing)} {verb} no future certificate. {what}."
    if outdated := outdated_servers(operation):
        whose = "its names have" if len(outdated) == 1 else "their names have"
        return f"The future certificate of {_names(outdated)} is outdated: {whose} changed."
    return None


def _holds(operation: Operation, missing: list[Device]) -> bool:
    """Whether they are waited for: as decided, and always if no Primary Server could switch."""
    if operation.without_certificate == WithoutCertificate.HOLD:
        return True
    primaries = operation.servers.filter(device__kind=Kind.PRIMARY_SERVER, device__retired_at=None)
    without = [server for server in missing if server.is_primary_server]
    return len(without) == primaries.count()


def _names(servers: list[Device]) -> str:
    return listed([server.name for server in servers], most=6)
