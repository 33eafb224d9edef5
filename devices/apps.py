"""The Django application `devices`."""

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """Registers `devices`."""

    name = "devices"
