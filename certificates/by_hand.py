"""Certificates that an administrator puts into remint-repo: judged, taken, or refused by name."""

from datetime import datetime

from cryptography import x509

from certificates import judging
from certificates.actions import server_certificates
from certificates.models import ServerProgress
from pki import chains


def take(
    progress: ServerProgress,
    leaf: x509.Certificate,
    others: list[x509.Certificate],
    *,
    now: datetime,
) -> None:
    """Keep a certificate whose key was proven at home. Raises ValueError with a sentence."""
    try:
        authority = judging.future_ca(progress.operation)
        pool = [*others, *judging.known_intermediates(progress.operation)]
        between = judging.intermediates_of(leaf, progress, pool=pool, now=now)
    except judging.NotReady:
        raise
    except ValueError:
        server_certificates.forget_by_hand(progress)
        raise
    caution = judging.Caution(progress.operation, authority).of([leaf, *between])
    server_certificates.take_by_hand(
        progress, leaf, between, authority=authority, caution=caution, now=now
    )


def record(progress: ServerProgress, *, chain_pem: str, problem: str, now: datetime) -> None:
    """Note what a Satellite says is in its remint-repo: a chain whose key it has proven, or why."""
    try:
        if chain_pem:
            leaf, *others = chains.load(chain_pem.encode())
            take(progress, leaf, others, now=now)
    except ValueError as error:
        problem = str(error)
    if problem or not chain_pem:
        server_certificates.forget_by_hand(progress)
    rows = ServerProgress.objects.filter(pk=progress.pk).exclude(problem=problem[:400])
    rows.update(problem=problem[:400])
