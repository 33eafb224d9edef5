"""The addresses of the devices list and of the pages of one device."""

from django.urls import path

from devices import views

urlpatterns = [
    path("devices/", views.index, name="index"),
    path("devices/registration-keys/", views.registration_keys, name="registration_keys"),
    path(
        "devices/registration-keys/create/",
        views.create_registration_key,
        name="create_registration_key",
    ),
    path(
        "devices/registration-keys/<int:pk>/revoke/",
        views.revoke_registration_key,
        name="revoke_registration_key",
    ),
    path("devices/enrolment-links/", views.enrolment_links, name="enrolment_links"),
    path(
        "devices/enrolment-links/<int:pk>/withdraw/",
        views.withdraw_enrolment_link,
        name="withdraw_enrolment_link",
    ),
    path("devices/folders/", views.folders, name="folders"),
    path("devices/folders/<int:pk>/create/", views.create_folder, name="create_folder"),
    path("devices/folders/<int:pk>/rename/", views.rename_folder, name="rename_folder"),
    path("devices/folders/<int:pk>/delete/", views.delete_folder, name="delete_folder"),
    path("devices/folders/<int:pk>/schedule/", views.folder_schedule, name="folder_schedule"),
    path("devices/folders/schedule/", views.zone_schedule, name="zone_schedule"),
    path("devices/move/", views.move_devices, name="move_devices"),
    path("devices/<int:pk>/schedule/", views.device_schedule, name="device_schedule"),
    path("devices/enrol/", views.enrol_device, name="enrol_device"),
    path("devices/enrol/<int:pk>/", views.enrolled_device, name="enrolled_device"),
    path("devices/enrol-mobile/", views.enrol_mobile, name="enrol_mobile"),
    path("devices/<int:pk>/enrol-again/", views.enrol_mobile_again, name="enrol_mobile_again"),
    path("devices/<int:pk>/end-user-page/", views.end_user_page, name="end_user_page"),
    path("devices/<int:pk>/end-user-page/end/", views.end_end_user_page, name="end_end_user_page"),
    path("devices/<int:pk>/retire/", views.retire_device, name="retire_device"),
    path("devices/<int:pk>/bring-back/", views.bring_back_device, name="bring_back_device"),
    path("devices/<int:pk>/", views.summary, name="summary"),
    path("devices/<int:pk>/head/", views.head, name="head"),
    path("devices/<int:pk>/refresh/", views.refresh_device, name="refresh_device"),
    path("devices/<int:pk>/settings/", views.settings, name="settings"),
    path("devices/<int:pk>/test-device/", views.set_test_device, name="set_test_device"),
    path("devices/<int:pk>/certificates/", views.certificates, name="certificates"),
    path("devices/<int:pk>/history/", views.history, name="history"),
]
