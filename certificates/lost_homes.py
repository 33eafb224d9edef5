"""
A Satellite whose home is gone: it was installed again, or its disk is that of an earlier day.

What it no longer has is known from its own report, never from the enrolment: whoever enrols again
with its home still has its keys. What is forgotten here it asks for anew, with new keys.
"""

from datetime import datetime

from django.db.models import QuerySet

from certificates.actions import server_certificates
from certificates.models import CertificateAuthority, Operation, ServerCertificate, ServerProgress
from certificates.models.authority import State as CAState
from certificates.models.operation import TAKEN_BACK_STATES
from certificates.models.operation import State as OperationState
from certificates.models.server_certificate import State
from devices.models import Device

_ROLLED_BACK = (OperationState.ROLLING_BACK, OperationState.ROLLED_BACK)


def enrolled(device: Device) -> None:
    """It has to say again what it has of a future certificate, before that counts as there."""
    _unfinished(device).update(staged_at=None, armed_at=None)


def forget_current(device: Device, *, now: datetime) -> None:
    """It shows no certificate: that is lost with its key, and there is none to go back to."""
    rows = ServerCertificate.objects.filter(device=device)
    rows.current().move(to=State.PREVIOUS)
    rows.coming().filter(operation=None, state=State.FUTURE).move(to=State.CANCELLED)
    waiting = ServerProgress.objects.filter(device=device, rolled_back_at=None)
    for progress in waiting.filter(operation__state__in=_ROLLED_BACK).select_related("operation"):
        server_certificates.take_back(device, progress.operation, shown="")
        ServerProgress.objects.filter(pk=progress.pk).update(rolled_back_at=now)


def forget_future(device: Device) -> None:
    """It has no key for a future certificate: what it asked for or had staged is void."""
    for progress in _unfinished(device).exclude(requested_at=None):
        rows = ServerCertificate.objects.filter(device=device, operation=progress.operation_id)
        rows.coming().move(to=State.CANCELLED, claim_id=None, lease_until=None)
        ServerProgress.objects.filter(pk=progress.pk).update(
            requested_at=None, staged_at=None, armed_at=None, problem="", retry_at=None
        )


def may_have_current(device: Device) -> bool:
    """Whether a certificate outside an operation can be made: an external CA signs none here."""
    active = CertificateAuthority.objects.filter(zone=device.zone_id, state=CAState.ACTIVE).first()
    return active is not None and active.is_internal


def _unfinished(device: Device) -> QuerySet[ServerProgress]:
    """Its steps in operations whose certificate it does not show yet, and is still to show."""
    rows = ServerProgress.objects.filter(device=device, activated_at=None)
    ended = (*TAKEN_BACK_STATES, *_ROLLED_BACK, OperationState.FAILED)
    return rows.filter(operation__in=Operation.objects.exclude(state__in=ended))
