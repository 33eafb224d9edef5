"""The addresses of System Updates."""

from django.urls import path

from systemupdates import views

urlpatterns = [
    path("system-updates/", views.index, name="index"),
    path("system-updates/history/", views.history, name="history"),
    path("system-updates/content/", views.content, name="content"),
    path(
        "system-updates/content/settings/", views.replication_settings, name="replication_settings"
    ),
    path(
        "system-updates/content/servers/<int:pk>/exclude/",
        views.exclude_server,
        name="exclude_server",
    ),
    path(
        "system-updates/content/servers/<int:pk>/include/",
        views.include_server,
        name="include_server",
    ),
    path("system-updates/content/<int:pk>/now/", views.replicate_now, name="replicate_now"),
    path("system-updates/stages/create/", views.create_stage, name="create_stage"),
    path("system-updates/stages/assign/", views.assign_stage, name="assign_stage"),
    path("system-updates/stages/<int:pk>/", views.stage, name="stage"),
    path("system-updates/stages/<int:pk>/rename/", views.rename_stage, name="rename_stage"),
    path("system-updates/stages/<int:pk>/delete/", views.delete_stage, name="delete_stage"),
    path("system-updates/stages/<int:pk>/shift/", views.shift_stage, name="shift_stage"),
    path("system-updates/<int:pk>/devices/", views.status_of_devices, name="status_by_device"),
    path(
        "system-updates/<int:pk>/devices/download/", views.download_status, name="download_status"
    ),
    path("system-updates/<int:pk>/redeploy/", views.redeploy_update, name="redeploy_update"),
    path("system-updates/<int:pk>/refresh/", views.refresh_devices, name="refresh_devices"),
    path("system-updates/<int:pk>/ignore/", views.ignore_device, name="ignore_device"),
    path("system-updates/<int:pk>/baseline/", views.baseline_update, name="baseline_update"),
    path("system-updates/<int:pk>/delete/", views.delete_update, name="delete_update"),
    path(
        "system-updates/<int:pk>/replication/",
        views.replication_status,
        name="replication_status",
    ),
    path("devices/<int:pk>/updates/", views.of_device, name="of_device"),
]
