"""The Django application `systemupdates`."""

from django.apps import AppConfig


class SystemUpdatesConfig(AppConfig):
    """Registers `systemupdates`."""

    name = "systemupdates"
