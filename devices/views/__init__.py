"""The views of the devices list, of one device, of registration keys and enrolment links."""

from devices.views.mobiles import end_user_page, enrol_mobile, enrol_mobile_again
from devices.views.pages import certificates, index, refresh_device, settings, summary
from devices.views.registration_keys import (
    create_registration_key,
    registration_keys,
    revoke_registration_key,
)
from devices.views.retiring import bring_back_device, retire_device

__all__ = [
    "bring_back_device",
    "certificates",
    "create_registration_key",
    "end_user_page",
    "enrol_mobile",
    "enrol_mobile_again",
    "index",
    "refresh_device",
    "registration_keys",
    "retire_device",
    "revoke_registration_key",
    "settings",
    "summary",
]
