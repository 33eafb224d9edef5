"""The Django application `ground`."""

from django.apps import AppConfig


class GroundConfig(AppConfig):
    """Registers `ground`, which has the rights of administrators and no table of its own."""

    name = "zcc.ground"
    label = "ground"
