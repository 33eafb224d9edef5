"""The rights that an administrator can be given. See access.py."""

from django.db import models


class Rights(models.Model):
    """Holds permissions only: it has no table and no rows. Superusers have every right."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("manage_certificates", "Can change, remint and cancel"),
            ("back_up_ca", "Can back up and restore the CA"),
            ("deploy_updates", "Can assign, ignore and redeploy system updates"),
            ("manage_devices", "Can change devices and their settings"),
        ]
