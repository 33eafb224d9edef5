"""The Django application `certificates`."""

from django.apps import AppConfig


class CertificatesConfig(AppConfig):
    """Registers `certificates`."""

    name = "certificates"
