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
    path("devices/enrol-mobile/", views.enrol_mobile, name="enrol_mobile"),
    path("devices/<int:pk>/enrol-again/", views.enrol_mobile_again, name="enrol_mobile_again"),
    path("devices/<int:pk>/end-user-page/", views.end_user_page, name="end_user_page"),
    path("devices/<int:pk>/retire/", views.retire_device, name="retire_device"),
    path("devices/<int:pk>/bring-back/", views.bring_back_device, name="bring_back_device"),
    path("devices/<int:pk>/", views.summary, name="summary"),
    path("devices/<int:pk>/refresh/", views.refresh_device, name="refresh_device"),
    path("devices/<int:pk>/settings/", views.settings, name="settings"),
    path("devices/<int:pk>/certificates/", views.certificates, name="certificates"),
]
