from systemupdates.models.device_update import DeviceUpdate, DeviceUpdateEvent
from systemupdates.models.replication import Replication
from systemupdates.models.update import SystemUpdate, UpdateEvent

__all__ = ["DeviceUpdate", "DeviceUpdateEvent", "Replication", "SystemUpdate", "UpdateEvent"]
