"""The addresses of Configuration > Certificates."""

from django.urls import path, re_path

from certificates import views

_KIND = r"(?P<kind>ca|server|link|identity_ca|identity)/(?P<pk>[0-9]{1,18})"

urlpatterns = [
    path("me/<str:secret>/", views.me, name="me"),
    path("me/<str:secret>/refresh/", views.me_refresh, name="me_refresh"),
    path("me/<str:secret>/enrol-again/", views.me_enrol_again, name="me_enrol_again"),
    path("certificates/", views.index, name="index"),
    path("certificates/ca/", views.ca_pane, name="ca_pane"),
    path("certificates/servers/", views.servers_pane, name="servers_pane"),
    path("certificates/device/<int:pk>/", views.device, name="device"),
    path("devices/<int:pk>/roles/", views.satellite_roles, name="satellite_roles"),
    path("devices/<int:pk>/rescue/", views.rescue_device, name="rescue_device"),
    path(
        "devices/<int:pk>/retire-server/",
        views.retire_primary_server,
        name="retire_primary_server",
    ),
    re_path(rf"^certificates/view/{_KIND}/$", views.view_certificate, name="view_certificate"),
    re_path(
        rf"^certificates/view/{_KIND}/certificate\.(?P<form>pem|der)$",
        views.download_certificate,
        name="download_certificate",
    ),
    path("certificates/change-ca/", views.change_ca, name="change_ca"),
    path("certificates/change-ca/time/", views.change_ca_time, name="change_ca_time"),
    path("certificates/change-ca/discard/", views.discard_change_ca, name="discard_change_ca"),
    path("certificates/remint-ca/", views.remint_ca, name="remint_ca"),
    path("certificates/remint-ca/time/", views.remint_ca_time, name="remint_ca_time"),
    path("certificates/rehearse/", views.rehearse, name="rehearse"),
    path("certificates/rehearsals/", views.past_rehearsals, name="past_rehearsals"),
    path("certificates/rehearsals/<int:pk>/", views.rehearsal, name="rehearsal"),
    path(
        "certificates/rehearsals/<int:pk>/cancel/",
        views.cancel_rehearsal,
        name="cancel_rehearsal",
    ),
    path("certificates/authorities/", views.authorities, name="authorities"),
    path("certificates/mobiles/", views.mobiles_to_enrol, name="mobiles_to_enrol"),
    path(
        "certificates/mobiles/enrol-again/",
        views.enrol_mobiles_again,
        name="enrol_mobiles_again",
    ),
    path("certificates/who-can-talk/", views.who_can_talk, name="who_can_talk"),
    path("certificates/backup-ca/", views.backup_ca, name="backup_ca"),
    path("certificates/verify-backup/", views.verify_backup, name="verify_backup"),
    path("certificates/restore-ca/", views.restore_ca, name="restore_ca"),
    path("certificates/move-ca-role/", views.move_ca_role, name="move_ca_role"),
    path("certificates/key-requests/<uuid:guid>/", views.key_request, name="key_request"),
    path(
        "certificates/key-requests/<uuid:guid>/backup.zip",
        views.download_backup,
        name="download_backup",
    ),
    path("certificates/generate-csr/", views.generate_csr, name="generate_csr"),
    path("certificates/import-certificate/", views.import_certificate, name="import_certificate"),
    path(
        "certificates/remint-server-certificate/",
        views.remint_server_certificate,
        name="remint_server_certificate",
    ),
    path(
        "certificates/servers/<int:pk>/reissue-certificate/",
        views.reissue_certificate,
        name="reissue_certificate",
    ),
    path(
        "certificates/servers/<int:pk>/use-reported/",
        views.use_reported,
        name="use_reported",
    ),
    path("certificates/servers/<int:pk>/csr/", views.download_csr, name="download_csr"),
    path("certificates/operations/<int:pk>/csrs.zip", views.download_csrs, name="download_csrs"),
    path(
        "certificates/operations/<int:pk>/refresh-needed/",
        views.refresh_needed,
        name="refresh_needed",
    ),
    path("certificates/operations/", views.operations, name="operations"),
    path("certificates/operations/<int:pk>/", views.operation, name="operation"),
    path("certificates/operations/<int:pk>/assign-now/", views.assign_now, name="assign_now"),
    path(
        "certificates/updates/<int:update>/assign-now/",
        views.assign_update_now,
        name="assign_update_now",
    ),
    path(
        "certificates/operations/<int:pk>/cancel/", views.cancel_operation, name="cancel_operation"
    ),
    path(
        "certificates/operations/<int:pk>/clear-message/", views.clear_failure, name="clear_failure"
    ),
    path(
        "certificates/operations/<int:pk>/evidence-pack/", views.evidence_pack, name="evidence_pack"
    ),
    path(
        "certificates/operations/<int:pk>/evidence-pack/file",
        views.download_evidence_pack,
        name="download_evidence_pack",
    ),
    path("certificates/operations/<int:pk>/postpone/", views.postpone, name="postpone"),
    path(
        "certificates/operations/<int:pk>/postpone/time/", views.postpone_time, name="postpone_time"
    ),
    path("certificates/stragglers/<int:pk>/", views.stragglers, name="stragglers"),
    path("certificates/operations/<int:pk>/sign-off/", views.sign_off, name="sign_off"),
    path("certificates/operations/<int:pk>/roll-back/", views.roll_back, name="roll_back"),
    path(
        "certificates/operations/<int:pk>/retire-old-ca/", views.retire_old_ca, name="retire_old_ca"
    ),
    path(
        "certificates/operations/<int:pk>/retire-by-itself/",
        views.retire_by_itself,
        name="retire_by_itself",
    ),
    path(
        "certificates/operations/<int:pk>/retire-rolled-back-ca/",
        views.retire_rolled_back_ca,
        name="retire_rolled_back_ca",
    ),
]
