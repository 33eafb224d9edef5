"""
CAs whose key is for RSASSA-PSS alone (RFC 4055, 1.2), in a form that the verifier can judge.

cryptography.x509.verification knows no such key and refuses every path through it. Each
certificate of such a path therefore gets a stand-in: the same names, dates and extensions, with a
key of a known kind, signed by the stand-in of the CA that has really signed it. Who has signed
what is checked here, with the real keys; everything else stays the verifier's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import PublicKeyAlgorithmOID

from pki import keys

# Those the verifier knows: a stand-in's own signature must not hide a weaker one.
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True)
class Offered:
    """What the verifier is to judge, and which certificate each of it stands for."""

    leaf: x509.Certificate
    others: list[x509.Certificate]
    roots: list[x509.Certificate]
    real: dict[x509.Certificate, x509.Certificate] = field(default_factory=dict)

    def path(self, judged: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """Return the real certificates of a path that the verifier has found."""
        return [self.real.get(one, one) for one in judged]


def offered(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> Offered:
    """
    Return what to offer to the verifier: as it is, unless a CA in it has a key for PSS alone.

    A leaf with such a key gets no stand-in: servers here cannot use it.
    """
    as_it_is = Offered(leaf, list(others), list(roots))
    cas = list(dict.fromkeys([*others, *roots]))
    if not any(_is_for_pss_alone(one) for one in cas) or _is_for_pss_alone(leaf):
        return as_it_is
    try:
        return _with_stand_ins(leaf, cas, roots)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # it cannot be said once more
        return as_it_is


def _is_for_pss_alone(certificate: x509.Certificate) -> bool:
    return certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS


def _with_stand_ins(
    leaf: x509.Certificate, cas: list[x509.Certificate], roots: Sequence[x509.Certificate]
) -> Offered:
    throwaway = {keys.spki(one): ec.generate_private_key(ec.SECP256R1()) for one in cas}
    found: dict[x509.Certificate, x509.Certificate] = {}  # the stand-in of each
    for one in (leaf, *cas):
        signer = throwaway[keys.spki(one)] if one in roots else _signer(one, cas, throwaway)
        if signer is not None:
            public = leaf.public_key() if one == leaf else throwaway[keys.spki(one)].public_key()
            found[one] = _stand_in(one, public, signer)
    return Offered(
        leaf=found.get(leaf, leaf),
        others=[found[one] for one in cas if one in found and one not in roots],
        roots=[found[one] for one in roots],
        real={stand_in: one for one, stand_in in found.items()},
    )


def _signer(
    one: x509.Certificate,
    cas: Sequence[x509.Certificate],
    throwaway: dict[bytes, ec.EllipticCurvePrivateKey],
) -> ec.EllipticCurvePrivateKey | None:
    """The throw-away key that stands for the one that has signed it, None if none here has."""
    if not isinstance(one.signature_hash_algorithm, _HASHES):
        return None
    issuers = (ca for ca in cas if ca.subject == one.issuer and _has_signed(ca, one))
    return next((throwaway[keys.spki(ca)] for ca in issuers), None)


def _has_signed(ca: x509.Certificate, one: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _stand_in(
    one: x509.Certificate,
    public_key: object,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Say what the certificate says once more, for this key, signed by that one."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(one.subject)
        .issuer_name(one.issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(one.serial_number)
        .not_valid_before(one.not_valid_before_utc)
        .not_valid_after(one.not_valid_after_utc)
    )
    for extension in one.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(signer, hashes.SHA256())
