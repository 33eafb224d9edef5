"""The views of Configuration > Certificates, by noun."""

from certificates.views.ca_dialogs import remint_ca, remint_ca_time, retire_old_ca
from certificates.views.certificate_dialogs import download_certificate, view_certificate
from certificates.views.change_ca import change_ca, change_ca_time, discard_change_ca
from certificates.views.decision_dialogs import postpone, postpone_time, roll_back, sign_off
from certificates.views.evidence import download_evidence_pack, evidence_pack
from certificates.views.forecast_pages import stragglers
from certificates.views.key_dialogs import (
    backup_ca,
    download_backup,
    key_request,
    move_ca_role,
    restore_ca,
    verify_backup,
)
from certificates.views.me import me, me_enrol_again, me_refresh
from certificates.views.mobiles import enrol_mobiles_again, mobiles_to_enrol
from certificates.views.operation_dialogs import (
    assign_now,
    assign_update_now,
    cancel_operation,
    clear_failure,
)
from certificates.views.pages import ca_pane, device, index, operation, operations, servers_pane
from certificates.views.refresh_needed import refresh_needed
from certificates.views.rehearsals import cancel_rehearsal, past_rehearsals, rehearsal, rehearse
from certificates.views.reported import use_reported
from certificates.views.rescue import rescue_device
from certificates.views.retirement_dialogs import (
    authorities,
    retire_by_itself,
    retire_rolled_back_ca,
)
from certificates.views.role_dialogs import retire_primary_server, satellite_roles
from certificates.views.server_dialogs import (
    download_csr,
    download_csrs,
    generate_csr,
    import_certificate,
    reissue_certificate,
    remint_server_certificate,
)
from certificates.views.who_can_talk import who_can_talk

__all__ = [
    "assign_now",
    "assign_update_now",
    "authorities",
    "backup_ca",
    "ca_pane",
    "cancel_operation",
    "cancel_rehearsal",
    "change_ca",
    "change_ca_time",
    "clear_failure",
    "device",
    "discard_change_ca",
    "download_backup",
    "download_certificate",
    "download_csr",
    "download_csrs",
    "download_evidence_pack",
    "enrol_mobiles_again",
    "evidence_pack",
    "generate_csr",
    "import_certificate",
    "index",
    "key_request",
    "me",
    "me_enrol_again",
    "me_refresh",
    "mobiles_to_enrol",
    "move_ca_role",
    "operation",
    "operations",
    "past_rehearsals",
    "postpone",
    "postpone_time",
    "refresh_needed",
    "rehearsal",
    "rehearse",
    "reissue_certificate",
    "remint_ca",
    "remint_ca_time",
    "remint_server_certificate",
    "rescue_device",
    "restore_ca",
    "retire_by_itself",
    "retire_old_ca",
    "retire_primary_server",
    "retire_rolled_back_ca",
    "roll_back",
    "satellite_roles",
    "servers_pane",
    "sign_off",
    "stragglers",
    "use_reported",
    "verify_backup",
    "view_certificate",
    "who_can_talk",
]
