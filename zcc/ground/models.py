"""The rights that an administrator can be given (see access.py), and the audit log (audit.py)."""

from django.conf import settings
from django.db import models

LONGEST = 400
LONGEST_SUBJECT = 253


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


class AuditEvent(models.Model):
    """One change of something of the zone. Nothing but zcc.ground.audit.record writes it."""

    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    what = models.CharField(max_length=64)
    kind = models.CharField(max_length=24)
    subject_id = models.PositiveBigIntegerField()
    subject = models.CharField(max_length=LONGEST_SUBJECT)
    before = models.CharField(max_length=LONGEST, blank=True)
    after = models.CharField(max_length=LONGEST, blank=True)
    note = models.CharField(max_length=LONGEST, blank=True)
    # Another event tells of the act as a whole. This one is there for the subject's own history.
    is_part = models.BooleanField(default=False, db_default=False)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["at", "id"], name="audit_by_time"),
            models.Index(
                fields=["at", "id"], condition=models.Q(is_part=False), name="audit_whole_by_time"
            ),
            models.Index(fields=["kind", "subject_id", "at", "id"], name="audit_of_subject"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.what}: {self.subject}"
