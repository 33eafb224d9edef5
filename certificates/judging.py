"""Judging a certificate that an external CA has signed for a server, at the activation time."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509

from certificates import linking
from certificates.models import CertificateAuthority, Operation, ServerProgress
from certificates.outdated import wanted_names
from pki import authority as authorities
from pki import chains, imports


class NotReady(ValueError):
    """The future CA is not known yet; the message is for the user."""


def future_ca(operation: Operation) -> CertificateAuthority:
    """Return the external CA that the operation changes to. Raises NotReady."""
    rows = CertificateAuthority.objects.filter(guid=operation.guid).exclude(der=None)
    found = rows.first()
    if found is None:
        raise NotReady("The future CA is not ready yet. Try again in a few seconds.")
    return found


class Caution:
    """What is to be known of a certificate that will do: whether the link carries it, too."""

    def __init__(self, operation: Operation, authority: CertificateAuthority) -> None:
        self.authority = authority
        self.has_link = not operation.is_strict and bool(linking.wanted(operation, authority))

    def of(self, chain: Sequence[x509.Certificate]) -> str:
        """Say why late devices will not accept the chain through the link, nothing if they will."""
        below_root = chain[-1:]
        reason = authorities.why_no_link(self.authority.x509(), below_root)
        if not self.has_link or reason is None:
            return ""
        return (
            f"The link does not carry it: {reason} Late agents come in by the rescue port, other "
            "programs on late devices refuse it. Better have it issued with a key identifier "
            "alone (authorityKeyIdentifier = keyid)."
        )


def known_intermediates(operation: Operation) -> list[x509.Certificate]:
    """Return the intermediates that came with earlier certificates, or with the trusted root."""
    rows = operation.server_certificates.exclude(intermediates="")
    texts = set(rows.values_list("intermediates", flat=True))
    texts.add(getattr(future_ca(operation), "intermediates", ""))
    found = [one for text in sorted(texts) if text for one in chains.load(text.encode())]
    return list(dict.fromkeys(found))


def intermediates_of(
    leaf: x509.Certificate,
    progress: ServerProgress,
    *,
    pool: Iterable[x509.Certificate],
    now: datetime,
) -> list[x509.Certificate]:
    """
    Return the intermediates that lead from the server's certificate to the future CA.

    Raises ValueError with a sentence for the user when the certificate will not do.
    """
    operation = progress.operation
    wanted = imports.Wanted(
        names=wanted_names(
            progress.device,
            include_additional=progress.wishes.include_additional_dns_names,
        ),
        at=max(operation.activate_at, now),
        root=future_ca(operation).x509(),
    )
    return imports.intermediates_for(leaf, pool, wanted)
