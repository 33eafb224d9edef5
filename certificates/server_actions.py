"""The menu `Actions` of the pane `ZENworks Server SSL Certificates`: what it offers, or why not."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from certificates import importing
from certificates.actions import server_certificates
from certificates.buttons import NO_RIGHT
from certificates.lacking import lacking
from certificates.models import Operation
from certificates.models.operation import State
from devices.models import Zone
from zcc.ground import access

NO_EXTERNAL = "Only while the zone changes to an external CA. Change CA begins that."
_TAKEN_BACK = (State.CANCELLING, State.CANCEL_FAILED, State.ROLLING_BACK, State.ROLLED_BACK)


@dataclass(frozen=True)
class Action:
    """An entry of the menu; with `why` it is disabled and says so, else `note` says more."""

    text: str
    icon: str
    url: str
    note: str
    why: str = ""


def server_actions(zone: Zone, user: object, *, now: datetime) -> list[Action]:
    """Return the entries of the menu for the servers that are ticked."""
    right = "" if access.has(user, "manage_certificates") else NO_RIGHT
    external = right or why_no_external(external_operation(zone))
    remint = right or server_certificates.why_not_reminted(zone, now=now)
    return [
        Action(
            "Generate CSR",
            "file-earmark-plus",
            reverse("certificates:generate_csr"),
            "Replaces a CSR made before",
            external,
        ),
        Action(
            "Import Certificate",
            "box-arrow-in-down",
            reverse("certificates:import_certificate"),
            "One file or many, matched by key",
            external,
        ),
        Action(
            "Remint Server Certificate",
            "arrow-repeat",
            reverse("certificates:remint_server_certificate"),
            "Same CA, these servers only",
            remint,
        ),
    ]


def external_operation(zone: Zone) -> Operation | None:
    """Return the operation for which an external CA signs, if it is the zone's newest."""
    newest = Operation.objects.newest(zone)
    return newest if newest is not None and newest.is_to_external else None


def why_no_external(operation: Operation | None) -> str:
    """Return why nothing is asked of an external CA now, nothing if it is."""
    if operation is None:
        return NO_EXTERNAL
    if operation.state in _TAKEN_BACK:
        return "The operation is being taken back: no certificate is wanted any more."
    waits = lacking(operation).exists() or importing.waiting(operation)
    if operation.activated_at is not None and not waits:
        return "Every server has its new certificate."
    return ""
