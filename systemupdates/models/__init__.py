from systemupdates.models.device_update import DeviceUpdate, DeviceUpdateEvent
from systemupdates.models.replication import ExcludedServer, Replication, ReplicationSettings
from systemupdates.models.stage import DeploymentStage, StageMember
from systemupdates.models.update import SystemUpdate, UpdateEvent

__all__ = [
    "DeploymentStage",
    "DeviceUpdate",
    "DeviceUpdateEvent",
    "ExcludedServer",
    "Replication",
    "ReplicationSettings",
    "StageMember",
    "SystemUpdate",
    "UpdateEvent",
]
