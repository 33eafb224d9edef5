"""The views of System Updates, by noun."""

from systemupdates.views.pages import (
    download_status,
    ignore_device,
    index,
    of_device,
    redeploy_update,
    refresh_devices,
    replication_status,
    status_of_devices,
)
from systemupdates.views.update_dialogs import baseline_update, delete_update

__all__ = [
    "baseline_update",
    "delete_update",
    "download_status",
    "ignore_device",
    "index",
    "of_device",
    "redeploy_update",
    "refresh_devices",
    "replication_status",
    "status_of_devices",
]
