"""What becomes of a device that is retired while an operation is in progress, in sentences."""

from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.operation import State
from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State as UpdateState

_CANCELS = (State.CANCELLING, State.CANCEL_FAILED)


def what_it_leaves(device: Device) -> list[str]:
    """Return what retiring the device means for the operation it takes part in, if there is one."""
    operation = Operation.objects.filter(zone=device.zone_id).live().order_by("pk").last()
    if operation is None:
        return []
    progress = operation.servers.filter(device=device).first()
    has_done_all = _has_done_all(device, operation)
    if has_done_all and (progress is None or progress.activated_at):
        return []
    said = [_what_goes_on(device, operation)]
    if progress is not None and operation.state not in _CANCELS:
        said.append(_of_its_certificate(device, operation, progress))
    if device.is_content_satellite and operation.state not in _CANCELS:
        said.append("Nobody waits for its copy of the update, and no device is sent to it.")
    return [*said, _if_brought_back(operation)]


def _has_done_all(device: Device, operation: Operation) -> bool:
    rows = DeviceUpdate.objects.filter(update=operation.update_id, device=device)
    is_over = operation.state == State.OVERLAP
    return is_over and rows.filter(state=UpdateState.COMPLETED).exists()


def _what_goes_on(device: Device, operation: Operation) -> str:
    kind = operation.get_kind_display()
    if operation.state in _CANCELS:
        return f"{kind} is being canceled. What it has left on {device.name} stays there."
    if operation.state == State.ROLLING_BACK:
        return f"{kind} is being rolled back. {device.name} is not told to go back."
    return (
        f"{kind} goes on without {device.name}: it is not waited for, and is told nothing more of "
        "the new CA. It keeps the trust that it has."
    )


def _of_its_certificate(device: Device, operation: Operation, progress: ServerProgress) -> str:
    if progress.activated_at:
        return "It goes on showing the certificate that it shows."
    # It arms itself when it has heard of it, and is heard of later.
    is_told = progress.staged_at and operation.state in (State.ARMED, State.ACTIVATING)
    if progress.armed_at or is_told:
        return (
            "It is armed: it switches to its future certificate by itself at the activation, "
            "unless its agent is stopped."
        )
    rows = ServerCertificate.objects.filter(device=device, operation=operation)
    if rows.filter(state="future").exists():
        return "Its future certificate is not put to use; it goes on showing the one it has."
    return "It gets no future certificate; it goes on showing the one it has."


def _if_brought_back(operation: Operation) -> str:
    if operation.state in (*_CANCELS, State.ROLLING_BACK):
        return "If it is brought back it follows at its next refresh."
    if operation.is_strict and operation.activated_at is None:
        return (
            "If it is brought back before the activation it takes part again; after that it needs "
            "the Certificate Updater Tool."
        )
    return "If it is brought back before the old CA is retired it catches up."
