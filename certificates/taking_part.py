"""A device takes part in the operation that is in progress, or no more, as it says itself."""

from datetime import datetime

from certificates import lost_homes
from certificates.models import Operation, ServerProgress
from certificates.models.operation import TAKEN_BACK_STATES, State
from devices.models import Device
from systemupdates import actions as updates

# In the others that are live what the operation has brought is on its way out.
_GOES_ON = (
    State.PREPARING,
    State.REPLICATING,
    State.ASSIGNED,
    State.ARMED,
    State.ACTIVATING,
    State.OVERLAP,
)


def enrolled(device: Device, *, now: datetime) -> None:
    """A device has enrolled: it joins what is going on. If it has before, it begins again."""
    for operation in Operation.objects.filter(zone=device.zone_id).live().select_related("update"):
        updates.begin_again(operation.update, device, now=now)
    lost_homes.enrolled(device)
    join_operation(device, now=now)


def join_operation(device: Device, *, now: datetime) -> None:
    """
    A device that enrols while an update is assigned gets its row, a Satellite its steps.

    After the activation it has none to make: its first certificate is of the new CA.
    """
    operation = Operation.objects.filter(zone=device.zone_id).live().order_by("pk").last()
    if operation is None:
        return
    updates.add_late_comer(operation.update, device, now=now)
    if device.is_authentication_satellite and operation.is_open:
        ServerProgress.objects.get_or_create(operation=operation, device=device)


def refreshed(device: Device, *, now: datetime) -> None:
    """A device has said what it trusts: see what that means for the operation."""
    rows = Operation.objects.filter(zone=device.zone_id).live()
    operation = rows.select_related("update", "new_ca").order_by("pk").last()
    if operation is None:
        return
    if operation.state in _GOES_ON:
        _join_late(device, operation, now=now)
    elif operation.state in TAKEN_BACK_STATES and _is_rid_of_it(device, operation):
        updates.take_back(operation.update, device, now=now)


def _is_rid_of_it(device: Device, operation: Operation) -> bool:
    """Whether the device says whom it trusts, and the new CA is not among them."""
    trusted, new_ca = device.trusted_fingerprints, operation.new_ca
    return bool(trusted) and new_ca is not None and new_ca.sha256 not in trusted


def _join_late(device: Device, operation: Operation, *, now: datetime) -> None:
    """A device that was retired when the others were told, and is back, takes part from now on."""
    lacks_row = operation.update.is_assigned and not _has_row(device, operation)
    is_server = device.is_authentication_satellite and operation.is_open
    lacks_steps = is_server and not operation.servers.filter(device=device).exists()
    if lacks_row or lacks_steps:
        join_operation(device, now=now)


def _has_row(device: Device, operation: Operation) -> bool:
    return operation.update.device_updates.filter(device=device).exists()
