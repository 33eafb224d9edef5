"""The views of the devices list, one device, folders, registration keys, enrolment links."""

from devices.views.enrolling import enrol_device, enrolled_device
from devices.views.enrolment_links import enrolment_links, withdraw_enrolment_link
from devices.views.folders import (
    create_folder,
    delete_folder,
    folders,
    move_devices,
    rename_folder,
)
from devices.views.mobiles import (
    end_end_user_page,
    end_user_page,
    enrol_mobile,
    enrol_mobile_again,
)
from devices.views.pages import (
    certificates,
    head,
    history,
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
    "end_end_user_page",
    "end_user_page",
    "enrol_device",
    "enrol_mobile",
    "enrol_mobile_again",
    "enrolled_device",
    "enrolment_links",
    "folder_schedule",
    "folders",
    "head",
    "history",
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
    "withdraw_enrolment_link",
    "zone_schedule",
]
