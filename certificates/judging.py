"""Judging a certificate that an external CA has signed for a server, at the activation time."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

from certificates.models import CertificateAuthority, Operation, ServerProgress
from certificates.outdated import wanted_names
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
