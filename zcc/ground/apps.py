"""The Django application `ground`."""

from django.apps import AppConfig


class GroundConfig(AppConfig):
    """Registers `ground`, which has the rights of administrators and the audit log."""

    name = "zcc.ground"
    label = "ground"
