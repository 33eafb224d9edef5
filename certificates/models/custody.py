"""Who may be sent a key, who must destroy one, and which keys have been backed up."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from certificates.models.authority import CertificateAuthority
from devices.models import Device
from zcc.ground.claims import Claimable


class SealingKey(models.Model):
    """
    The X25519 key that secrets for a Primary Server are sealed to; its private half stays at home.

    It is believed only if `voucher` (the zone update key's signature, made when the server was set
    up or joined with its token) and `signature` (the server's own, by the key of the certificate
    it shows) both fit: see certificates.sealing_keys.
    """

    device = models.OneToOneField(Device, models.CASCADE, related_name="sealing_key")
    public = models.BinaryField()
    voucher = models.BinaryField()
    signature = models.BinaryField(null=True)
    # What the server showed when it signed; and which certificate, by its row, that was for.
    chain = models.TextField(blank=True)
    signed_for = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"#{self.device_id}"


class KeyRemoval(Claimable):
    """A server that no longer has the CA role, or did not get it, must destroy its copy."""

    server = models.ForeignKey(Device, models.CASCADE, related_name="key_removals")
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["server"], condition=Q(done_at=None), name="one_key_removal_a_server"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} on {self.server_id}"


class VerifiedBackup(models.Model):
    """A backup of this CA's key that was opened and whose key signed; never its passphrase."""

    authority = models.ForeignKey(CertificateAuthority, models.CASCADE, related_name="backups")
    file_sha256 = models.CharField(max_length=64)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["authority", "file_sha256"], name="one_row_a_verified_backup"
            ),
        ]
        get_latest_by = "at"

    def __str__(self) -> str:
        return f"#{self.pk} of {self.authority_id}"
