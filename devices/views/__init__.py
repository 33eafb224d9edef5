"""The views of the devices list, one device, folders, registration keys, enrolment links."""

from devices.views.folders import (
    create_folder,
    delete_folder,
    folders,
    move_devices,
    rename_folder,
)
from devices.views.mobiles import end_user_page, enrol_mobile, enrol_mobile_again
from devices.views.pages import (
    certificates,
    index,
    refresh_device,
    set_test_device,
    settings,
    summary,
)
from devices.views.registration_keys import (
    create_registration_key,
    registration_keys,
    revoke_registration_key,
)
from devices.views.retiring import bring_back_device, retire_device
from devices.views.schedules import device_schedule, folder_schedule, zone_schedule

__all__ = [
    "bring_back_device",
    "certificates",
    "create_folder",
    "create_registration_key",
    "delete_folder",
    "device_schedule",
    "end_user_page",
    "enrol_mobile",
    "enrol_mobile_again",
    "folder_schedule",
    "folders",
    "index",
    "move_devices",
    "refresh_device",
    "registration_keys",
    "rename_folder",
    "retire_device",
    "revoke_registration_key",
    "set_test_device",
    "settings",
    "summary",
    "zone_schedule",
]
