"""The views of Configuration > Certificates, by noun."""

from certificates.views.ca_dialogs import remint_ca, remint_ca_time, retire_old_ca
from certificates.views.certificate_dialogs import download_certificate, view_certificate
from certificates.views.decision_dialogs import postpone, roll_back, sign_off
from certificates.views.operation_dialogs import assign_now, cancel_operation, clear_failure
from certificates.views.pages import ca_pane, device, index, operation, operations, servers_pane
from certificates.views.refresh_needed import refresh_needed
from certificates.views.server_dialogs import (
    download_csr,
    download_csrs,
    generate_csr,
    import_certificate,
    reissue_certificate,
    remint_server_certificate,
)

__all__ = [
    "assign_now",
    "ca_pane",
    "cancel_operation",
    "clear_failure",
    "device",
    "download_certificate",
    "download_csr",
    "download_csrs",
    "generate_csr",
    "import_certificate",
    "index",
    "operation",
    "operations",
    "postpone",
    "refresh_needed",
    "reissue_certificate",
    "remint_ca",
    "remint_ca_time",
    "remint_server_certificate",
    "retire_old_ca",
    "roll_back",
    "servers_pane",
    "sign_off",
    "view_certificate",
]
