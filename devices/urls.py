"""The addresses of the devices list and of the pages of one device."""

from django.urls import path

from devices import views

urlpatterns = [
    path("devices/", views.index, name="index"),
    path("devices/<int:pk>/", views.summary, name="summary"),
    path("devices/<int:pk>/refresh/", views.refresh_device, name="refresh_device"),
    path("devices/<int:pk>/settings/", views.settings, name="settings"),
    path("devices/<int:pk>/certificates/", views.certificates, name="certificates"),
]
