"""`Generate CSR`, and certificates that are made anew because their names have changed."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from certificates import issuing
from certificates.models import HomeTrust, Operation, ServerCertificate, ServerProgress
from certificates.models.operation import CANCELLABLE_STATES
from certificates.models.operation import State as OperationState
from certificates.models.server_certificate import State
from certificates.models.server_step import CsrWishes
from certificates.outdated import outdated_servers
from certificates.wording import listed
from devices import actions as devices
from devices.models import Device
from pki import keys, names

# A server without a certificate may still ask for one then.
_LATE_STATES = (
    OperationState.ARMED,
    OperationState.ACTIVATING,
    OperationState.OVERLAP,
    OperationState.COMPLETED,
)


class Refused(Exception):
    """This cannot be done; the message says why and what to do, and is for the user."""


@transaction.atomic
def generate(
    operation: Operation, devices: Sequence[Device], wishes: CsrWishes, *, by: Any, now: datetime
) -> None:
    """
    Ask each of these servers for a new key and a request for it.

    What it had for the operation is replaced: from now on only a certificate of the new key is
    accepted. A Satellite is told at its next refresh. Raises Refused, and nothing has changed.
    """
    if not devices:
        raise Refused("Select at least one server.")
    if wishes.key_type not in keys.KEY_TYPES:
        raise Refused(f"There is no key length {wishes.key_type}. Choose one from the list.")
    for device in devices:
        if reason := why_not_generated(operation, device):
            raise Refused(reason)
        _check_names(device, wishes)
    for device in devices:
        _renew(operation, device, wishes)
    text = f"Generate CSR for {listed([device.name for device in devices], most=20)}"
    operation.note(text, by=by, at=now)


def why_not_generated(operation: Operation, device: Device) -> str:
    """Return why the server cannot make another request in the operation, nothing if it can."""
    if not operation.is_to_external:
        return "Its CA is internal: a request is made and signed by itself."
    progress = ServerProgress.objects.filter(operation=operation, device=device).first()
    if progress is None or device.is_retired:
        return f"{device.name} does not take part in this operation."
    if progress.activated_at is not None:
        return f"{device.name} has switched to its new certificate already."
    has_one = operation.server_certificates.filter(device=device, state=State.FUTURE).exists()
    if operation.state in CANCELLABLE_STATES or (operation.state in _LATE_STATES and not has_one):
        return ""
    if operation.state not in _LATE_STATES:
        return "The operation is over, or being taken back: no certificate is wanted any more."
    return f"{device.name} is about to switch. Wait until the new certificate is in use."


def _check_names(device: Device, wishes: CsrWishes) -> None:
    """ "ZENworks does not support the generation of CSR for wildcard certificates." (manual)"""
    include = wishes.include_additional_dns_names
    for name in issuing.dns_names(device, include_additional=include):
        try:
            names.check_dns_name(name)
        except ValueError as error:
            raise Refused(f"{device.name}: {error}") from error


def _renew(operation: Operation, device: Device, wishes: CsrWishes) -> None:
    rows = ServerProgress.objects.filter(operation=operation, device=device)
    rows.update(
        request_number=F("request_number") + 1,
        csr_wishes=asdict(wishes),
        requested_at=None,
        staged_at=None,
        armed_at=None,
        problem="",
        retry_at=None,
        claim_id=None,  # a worker that is at it finds its work void
        lease_until=None,
    )
    coming = ServerCertificate.objects.filter(device=device).coming()
    coming.move(to=State.CANCELLED, claim_id=None, lease_until=None)


@transaction.atomic
def reissue(operation: Operation, device: Device, *, by: Any, now: datetime) -> None:
    """
    Let the internal CA make the server's outdated future certificate anew, for the same key.

    Raises Refused when there is none, or the activation is too near.
    """
    if operation.is_to_external:
        raise Refused("Its CA is external: use Generate CSR and have the new request signed.")
    if operation.state not in CANCELLABLE_STATES:
        raise Refused("The operation is armed, over, or being taken back: nothing is made anew.")
    rows = ServerCertificate.objects.filter(device=device, operation=operation, state=State.FUTURE)
    old = rows.exclude(csr=None).first()
    if old is None or not rows.filter(pk=old.pk).move(to=State.CANCELLED):
        raise Refused(f"{device.name} has no future certificate that could be made anew.")
    ServerCertificate.objects.create(
        device=device, operation=operation, csr=old.csr, created_at=now, asked_by=by
    )
    progress = ServerProgress.objects.filter(operation=operation, device=device)
    progress.update(staged_at=None, claim_id=None, lease_until=None, retry_at=None)
    operation.note(f"The future certificate of {device.name} is made anew", by=by, at=now)


@transaction.atomic
def use_reported(device: Device, *, shown: str, by: Any, now: datetime) -> bool:
    """
    Take over what a server reports of its address and DNS name, as the user was `shown` it.

    Return whether its future certificate is made anew with that. Raises Refused.
    """
    try:
        devices.use_reported(device, shown=shown, by=by, now=now)
    except (devices.InvalidNames, devices.NotPossibleNow) as error:
        raise Refused(str(error)) from error
    # A Primary Server writes its page /zenworks-setup again, which says its address.
    HomeTrust.objects.filter(device=device).update(epoch=0, retry_at=None)
    operation = Operation.objects.newest(device.zone)
    if operation is None or device not in outdated_servers(operation):
        return False
    try:
        reissue(operation, device, by=by, now=now)
    except (
        Refused
    ):  # of an external CA, or too near: the row stays `Outdated` and says how to go on
        return False
    return True
