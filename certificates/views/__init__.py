"""The views of Configuration > Certificates, by noun."""

from certificates.views.ca_dialogs import remint_ca, remint_ca_time, retire_old_ca
from certificates.views.certificate_dialogs import download_certificate, view_certificate
from certificates.views.decision_dialogs import postpone, roll_back, sign_off
from certificates.views.key_dialogs import (
    backup_ca,
    download_backup,
    key_request,
    move_ca_role,
    restore_ca,
    verify_backup,
)
from certificates.views.operation_dialogs import assign_now, cancel_operation, clear_failure
from certificates.views.pages import ca_pane, device, index, operation, operations, servers_pane

__all__ = [
    "assign_now",
    "backup_ca",
    "ca_pane",
    "cancel_operation",
    "clear_failure",
    "device",
    "download_backup",
    "download_certificate",
    "index",
    "key_request",
    "move_ca_role",
    "operation",
    "operations",
    "postpone",
    "remint_ca",
    "remint_ca_time",
    "restore_ca",
    "retire_old_ca",
    "roll_back",
    "servers_pane",
    "sign_off",
    "verify_backup",
    "view_certificate",
]
