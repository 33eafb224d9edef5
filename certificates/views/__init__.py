"""The views of Configuration > Certificates, by noun."""

from certificates.views.ca_dialogs import remint_ca, remint_ca_time, retire_old_ca
from certificates.views.certificate_dialogs import download_certificate, view_certificate
from certificates.views.operation_dialogs import assign_now, cancel_operation, clear_failure
from certificates.views.pages import ca_pane, device, index, operation, operations, servers_pane

__all__ = [
    "assign_now",
    "ca_pane",
    "cancel_operation",
    "clear_failure",
    "device",
    "download_certificate",
    "index",
    "operation",
    "operations",
    "remint_ca",
    "remint_ca_time",
    "retire_old_ca",
    "servers_pane",
    "view_certificate",
]
