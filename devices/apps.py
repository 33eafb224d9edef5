"""The Django application `devices`."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate

from devices import search_index


class DevicesConfig(AppConfig):
    """Registers `devices`, and keeps the index of its texts across each `migrate`."""

    name = "devices"

    def ready(self) -> None:
        pre_migrate.connect(search_index.make_way, sender=self)
        post_migrate.connect(search_index.ensure, sender=self)
