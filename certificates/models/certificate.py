"""What every stored certificate has: its bytes, and the facts read from it once, when it came."""

from cryptography import x509
from django.db import models

from pki import describe


class Certificate(models.Model):
    """
    A certificate and what View Certificate shows of it.

    Facts are stored because odd certificates load but raise when a field is read: they are parsed
    once, and no page has to guard against them.
    """

    der = models.BinaryField(null=True)
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    subject = models.CharField(max_length=400, blank=True)
    issuer = models.CharField(max_length=400, blank=True)
    valid_from = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    # Everything else of describe.Facts, by name.
    facts = models.JSONField(default=dict)

    class Meta:
        abstract = True

    @staticmethod
    def columns(certificate: x509.Certificate) -> dict[str, object]:
        """Return the columns that a row takes from its certificate."""
        facts = describe.describe(certificate)
        return {
            "der": describe.der(certificate),
            "sha256": describe.fingerprint(certificate),
            "subject": facts.subject[:400],
            "issuer": facts.issuer[:400],
            "valid_from": certificate.not_valid_before_utc,
            "expires_at": certificate.not_valid_after_utc,
            "facts": {
                "key_length": facts.key_length,
                "md5": facts.md5,
                "sha1": facts.sha1,
                "sha256": facts.sha256,
                "serial": facts.serial,
                "signature_algorithm": facts.signature_algorithm,
                "alternative_names": list(facts.alternative_names),
            },
        }

    def x509(self) -> x509.Certificate:
        """Load the certificate; only for rows that have one."""
        if self.der is None:
            raise ValueError(f"{self} has no certificate yet.")
        return x509.load_der_x509_certificate(bytes(self.der))
