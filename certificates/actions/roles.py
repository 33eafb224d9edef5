"""
Satellite roles are given to managed devices, and taken back.

The agent takes them up at its next refresh. A role has rows in every application: content to hold,
a certificate to ask for, a part in the operation that is in progress.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from certificates import taking_part
from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.server_certificate import State
from devices import actions as devices
from devices.models import Device, Kind
from systemupdates import actions as updates
from zcc.ground import audit


class Refused(Exception):
    """The roles cannot be changed so; the message is for the user."""


@transaction.atomic
def set_roles(
    device: Device, *, content: bool, authentication: bool, by: Any, now: datetime
) -> None:
    """Let the device have exactly these roles, and ask it to refresh. Raises Refused."""
    device = Device.objects.select_for_update().select_related("zone").get(pk=device.pk)
    if why_not := why_not_changed(device):
        raise Refused(why_not)
    before = audit.listed(device.roles)
    had_content, had_authentication = (
        device.is_content_satellite,
        device.is_authentication_satellite,
    )
    if authentication and not had_authentication:
        _refuse_unless_it_can_have_a_certificate(device)
    if had_authentication and not authentication:
        _take_authentication(device)
    device.is_content_satellite = content
    device.is_authentication_satellite = authentication
    rows = Device.objects.filter(pk=device.pk)
    rows.update(is_content_satellite=content, is_authentication_satellite=authentication)
    if content and not had_content:
        updates.add_content_server(device, now=now)
    if had_content and not content:
        updates.remove_content_server(device)
    if authentication and not had_authentication:
        taking_part.join_operation(device, now=now)
    if before != (after := audit.listed(device.roles)):
        audit.record("Satellite roles", device, by=by, at=now, before=before, after=after)
    devices.ask_refresh(rows, now=now)


def why_not_changed(device: Device) -> str:
    """Return why the device can have no other roles, nothing if it can."""
    if device.is_retired:
        return f"{device.name} is retired. Bring it back first."
    if device.is_primary_server:
        return f"{device.name} is a Primary Server: it does all that a Satellite does."
    if device.kind == Kind.MOBILE:
        return f"{device.name} is a mobile device. Satellites are servers and workstations."
    return ""


def _refuse_unless_it_can_have_a_certificate(device: Device) -> None:
    if not device.dns_name or not device.addresses:
        raise Refused(
            f"{device.name} has no DNS name or no address to put into a certificate. "
            "Enrol it again with both."
        )
    names = [device.dns_name, *device.additional_dns_names]
    try:
        devices.refuse_taken(device, names, device.addresses)
    except devices.InvalidNames as error:
        raise Refused(
            f"{error} An Authentication Satellite needs an address and a DNS name of its own: "
            f"enrol {device.name} again on another host, or with --address and --dns."
        ) from error


def _take_authentication(device: Device) -> None:
    """Its certificates end; what it had to do in an operation that is over is forgotten."""
    if operation := _in_its_way(device).first():
        raise Refused(
            f"{device.name} takes part in {operation.get_kind_display()}. Take the role back when "
            "that is activated or canceled."
        )
    ServerProgress.objects.filter(device=device, operation__in=Operation.objects.live()).delete()
    rows = ServerCertificate.objects.filter(device=device)
    rows.current().move(to=State.PREVIOUS)
    rows.coming().move(to=State.CANCELLED)


def _in_its_way(device: Device) -> "QuerySet[Operation]":
    return Operation.objects.filter(zone=device.zone_id).open().filter(servers__device=device)
