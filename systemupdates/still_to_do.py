"""What a device has still to do in the newest system update that is being deployed."""

from dataclasses import dataclass

from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State
from systemupdates.models.update import State as UpdateState
from systemupdates.no_content import MEND_THE_DEVICE, REMEDY

_TO_DO = {
    State.ASSIGNED: "It takes the update at its next refresh.",
    State.DOWNLOADING: "It fetches the content, then trusts the new CA.",
    State.UPDATING: "It puts the new CA into its trust store.",
    State.PENDING: "It trusts the new CA. It is done at its first refresh after the activation.",
    State.FAILED: "Look at the reason, mend it, and redeploy the update.",
    State.IGNORED: "It keeps the trust that it has until somebody stops ignoring it.",
}


@dataclass(frozen=True)
class OpenUpdate:
    """The device's row of an update that it has not completed."""

    row: DeviceUpdate

    @property
    def to_do(self) -> str:
        """What is still to come on the device, or is to be done about it."""
        row = self.row
        if row.state == State.ASSIGNED and not row.is_released:
            return "Its turn comes when the Primary Servers have the update."
        if row.state == State.PENDING and row.proof_problem:
            return f"It has not proven the new CA: {row.proof_problem}"
        said = _TO_DO[State(row.state)]
        if row.lacks_content:
            said = REMEDY
        elif row.could_not_store:
            said = MEND_THE_DEVICE
        return f"{row.reason.rstrip('.')}. {said}" if row.reason else said


def open_update(device: Device) -> OpenUpdate | None:
    """Return the newest assigned update of the device, None if it has completed that."""
    if device.is_retired:
        return None
    rows = device.updates.filter(update__state=UpdateState.ASSIGNED).select_related("update")
    row = rows.order_by("-update_id").first()
    return OpenUpdate(row) if row is not None and row.state in _TO_DO else None
