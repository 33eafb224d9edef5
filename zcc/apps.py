"""The Django application `zcc`, for the sake of its command `runzone`."""

from django.apps import AppConfig


class ZccConfig(AppConfig):
    """Registers `zcc`, which has no models."""

    name = "zcc"
