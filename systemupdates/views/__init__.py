"""The views of System Updates, by noun."""

from systemupdates.views.content import (
    content,
    exclude_server,
    include_server,
    replicate_now,
    replication_settings,
)
from systemupdates.views.pages import (
    download_status,
    history,
    ignore_device,
    index,
    of_device,
    redeploy_update,
    refresh_devices,
    replication_status,
    status_of_devices,
)
from systemupdates.views.stages import (
    assign_stage,
    create_stage,
    delete_stage,
    rename_stage,
    shift_stage,
    stage,
)
from systemupdates.views.update_dialogs import baseline_update, delete_update

__all__ = [
    "assign_stage",
    "baseline_update",
    "content",
    "create_stage",
    "delete_stage",
    "delete_update",
    "download_status",
    "exclude_server",
    "history",
    "ignore_device",
    "include_server",
    "index",
    "of_device",
    "redeploy_update",
    "refresh_devices",
    "rename_stage",
    "replicate_now",
    "replication_settings",
    "replication_status",
    "shift_stage",
    "stage",
    "status_of_devices",
]
