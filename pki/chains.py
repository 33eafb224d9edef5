"""Certificate files: read them in whatever form they come, put them in order, judge them."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from pki import keys, names, stand_ins

MAX_FILE = 1024 * 1024  # bytes
MAX_CERTIFICATES = 20
# What reading a field of an odd certificate has been seen to raise.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
# What is judged, in the words of the sentence that says it cannot be read.
_FIELDS: dict[str, Callable[[x509.Certificate], object]] = {
    "subject": lambda certificate: certificate.subject,
    "issuer": lambda certificate: certificate.issuer,
    "validity": lambda certificate: (
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    ),
    "public key": lambda certificate: certificate.public_key(),
    "signature algorithm": lambda certificate: certificate.signature_hash_algorithm,
    "extensions": lambda certificate: certificate.extensions,
}


def load(data: bytes) -> list[x509.Certificate]:
    """
    Read the certificates in a file: PEM or DER, alone or many, or PKCS #7, by content.

    Raises ValueError with a sentence: too large, too many, no certificate in it, or a broken one.
    """
    if len(data) > MAX_FILE:
        raise ValueError("The file is larger than 1 MiB. Choose the certificate file.")
    try:
        found = _load(data)
    except _UNREADABLE as error:
        raise ValueError(_no_certificate(data)) from error
    if not found:
        raise ValueError(_no_certificate(data))
    if len(found) > MAX_CERTIFICATES:
        raise ValueError(
            f"The file holds {len(found)} certificates; a chain has at most {MAX_CERTIFICATES}. "
            "Keep the one chain that is wanted, and nothing else."
        )
    return found


# What is often chosen instead of a certificate: how it is known, and what to do with it.
_MISTAKEN = (
    (
        re.compile(rb"-----BEGIN (NEW )?CERTIFICATE REQUEST-----"),
        "it is a request (CSR). Send it to the CA, and choose what comes back.",
    ),
    (
        re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        "it is a private key. Keep it secret, and choose the certificate.",
    ),
    (
        re.compile(rb"-----BEGIN CERTIFICATE-----"),
        "it has a damaged one. Fetch the file again from the CA.",
    ),
    (
        re.compile(rb"\APK\x03\x04"),
        "it is a ZIP archive. Unpack it, and choose the certificate.",
    ),
    (
        re.compile(rb"\A\x30(\x82..|\x83...|\x84....|\x80)\x02\x01\x03", re.DOTALL),
        "it is a PKCS #12 archive (.p12 or .pfx). Take the certificates out of it with openssl "
        "pkcs12 -nokeys, and choose those.",
    ),
    (re.compile(rb"\A\s*\Z"), "it is empty. Fetch it again from the CA."),
)


def _no_certificate(data: bytes) -> str:
    """Say that the file holds no certificate, what it is instead if that is known, what to do."""
    for look, what in _MISTAKEN:
        if look.search(data):
            return f"The file holds no certificate: {what}"
    return (
        "The file holds no certificate that can be read. Choose one in DER or PEM, or a PKCS #7 "
        "file (.p7b)."
    )


def _load(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN PKCS7-----" in data:
        return pkcs7.load_pem_pkcs7_certificates(data)
    if b"-----BEGIN CERTIFICATE-----" in data:
        return x509.load_pem_x509_certificates(data)
    try:
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        return pkcs7.load_der_pkcs7_certificates(data)


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Say whether the certificate is signed by its own key."""
    if certificate.subject != certificate.issuer:
        return False
    return _is_signed_by(certificate, certificate) or _signs_itself_with_sha1(certificate)


def _signs_itself_with_sha1(certificate: x509.Certificate) -> bool:
    """Old roots do, and it proves nothing of them; `verify_directly_issued_by` knows no SHA-1."""
    try:
        algorithm, key = certificate.signature_hash_algorithm, certificate.public_key()
        signed = certificate.signature, certificate.tbs_certificate_bytes
        if not isinstance(algorithm, SHA1):
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def check_readable(certificates: Sequence[x509.Certificate]) -> None:
    """Raise ValueError with a sentence if a field that is judged cannot be read."""
    for certificate in certificates:
        for field, read in _FIELDS.items():
            try:
                read(certificate)
            except _UNREADABLE as error:
                raise ValueError(
                    f"The {field} of a certificate in the file cannot be read. Its SHA-256 "
                    f"fingerprint is {certificate.fingerprint(SHA256()).hex()}. "
                    "Have it issued again."
                ) from error


def order(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """
    Return the chain in order: the certificate that signed no other first, its root last.

    Raises ValueError with a sentence when two chains could be made, a certificate is left over or
    cannot be read.
    """
    if not certificates:
        raise ValueError("The file holds no certificate.")
    check_readable(certificates)
    unique = list(dict.fromkeys(certificates))
    issuers = {
        issuer
        for one in unique
        for issuer in unique
        if one != issuer and _is_signed_by(one, issuer)
    }
    leaves = [one for one in unique if one not in issuers]
    if len(leaves) != 1:
        raise ValueError(
            "The file holds certificates of more than one chain. Keep the server's certificate, "
            "its intermediates and their root, and nothing else."
        )
    chain = [leaves[0]]
    while (following := _next(chain, unique)) is not None:
        chain.append(following)
    if left := [one for one in unique if one not in chain]:
        name = names.display(left[0].subject) or "a certificate without a subject"
        raise ValueError(
            f'"{name}" in the file does not belong to the chain. Remove it from the file and '
            "upload again."
        )
    return chain


def _next(
    chain: list[x509.Certificate], certificates: list[x509.Certificate]
) -> x509.Certificate | None:
    last = chain[-1]
    candidates = (one for one in certificates if one not in chain and _is_signed_by(last, one))
    return next(candidates, None)


def root_of(chain: Sequence[x509.Certificate]) -> x509.Certificate:
    """Return the root of an ordered chain. Raises ValueError naming the issuer that is missing."""
    check_readable(chain[-1:])
    last = chain[-1]
    if not is_self_signed(last):
        raise ValueError(_issuer_is_missing(last))
    return last


def check_server_chain(
    chain: Sequence[x509.Certificate],
    key: keys.PrivateKey | None,
    *,
    wanted: Sequence[str],
    at: datetime,
    roots: Sequence[x509.Certificate],
) -> None:
    """
    Raise ValueError with a sentence unless the chain will do for a server at the time `at`.

    `chain` is in order, leaf first; `wanted` are the DNS names and addresses it must be valid for.
    The path is judged by cryptography.x509.verification (RFC 5280, 6), never by hand; the sizes of
    keys and the hashes of signatures are checked besides, those of the root used included.
    """
    if not (chain and wanted and roots):
        raise ValueError("A chain is judged for at least one name and against at least one root.")
    check_readable([*chain, *roots])
    leaf, *others = chain
    if key is not None and not keys.same_key(leaf, key):
        raise ValueError("The private key does not belong to the server's certificate.")
    check_worth(chain, at=at, roots=roots)
    for name in wanted:
        try:
            path = path_to(roots, leaf, others, name=name, at=at)
        except VerificationError as error:
            raise ValueError(_why_refused(error, chain, roots=roots, name=name)) from error
        _check_strength(path[-1], is_root=True)
        _check_times(path, at)


def check_worth(
    certificates: Sequence[x509.Certificate],
    *,
    at: datetime,
    roots: Sequence[x509.Certificate],
) -> None:
    """
    Raise ValueError with a sentence if a certificate is weak, or not valid at the time `at`.

    A root's own signature proves nothing, so its hash does not count.
    """
    for certificate in certificates:
        _check_strength(certificate, is_root=certificate in roots)
    _check_times(certificates, at)


def _check_strength(certificate: x509.Certificate, *, is_root: bool) -> None:
    name = names.display(certificate.subject)
    if reason := keys.is_acceptable(certificate.public_key()):
        raise ValueError(f"{name}: {reason}")
    weak = isinstance(certificate.signature_hash_algorithm, MD5 | SHA1)
    if weak and not is_root:
        raise ValueError(f"{name} is signed with MD5 or SHA-1. Have it signed with SHA-256.")


def _check_times(chain: Sequence[x509.Certificate], at: datetime) -> None:
    for certificate in chain:
        name = names.display(certificate.subject)
        if at > certificate.not_valid_after_utc:
            raise ValueError(
                f"{name} expired on {certificate.not_valid_after_utc:%d %b %Y}. Ask its issuer for "
                "the one that is in force."
            )
        if at < certificate.not_valid_before_utc:
            raise ValueError(
                f"{name} is valid only from {certificate.not_valid_before_utc:%d %b %Y}. Ask its "
                "issuer for the one that is in force, or wait until then."
            )


def path_to(
    roots: Sequence[x509.Certificate],
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    name: str,
    at: datetime,
) -> list[x509.Certificate]:
    """
    Return the path from the leaf to one of the roots that is valid for `name` at the time `at`.

    Raises VerificationError if there is none.
    """
    subject: x509.DNSName | x509.IPAddress = (
        x509.IPAddress(ipaddress.ip_address(name)) if names.is_ip(name) else x509.DNSName(name)
    )
    offered = stand_ins.offered(leaf, [one for one in others if one not in roots], roots)
    builder = PolicyBuilder().store(Store(offered.roots)).time(at)
    return offered.path(builder.build_server_verifier(subject).verify(offered.leaf, offered.others))


def _why_refused(
    error: VerificationError,
    chain: Sequence[x509.Certificate],
    *,
    roots: Sequence[x509.Certificate],
    name: str,
) -> str:
    """Say in a sentence what the verifier found, as far as it can be said better than it does."""
    if "no matching subjectAltName" in str(error):
        return f"The server's certificate is not valid for {name}. Have it issued with that name."
    if "has no subjectAltName" in str(error):
        return (
            f"The certificate names no DNS name: it has no subjectAltName, so {name} is not "
            "covered. Ask the CA for a subjectAltName with every name of the server."
        )
    if "required EKU" in str(error):
        return (
            "Its extended key usage does not allow serverAuth. Have it issued for a server, with "
            "extendedKeyUsage=serverAuth."
        )
    last = chain[-1]
    if last not in roots and not any(_is_signed_by(last, root) for root in roots):
        if is_self_signed(last):
            return (
                f'The chain leads to "{names.display(last.subject)}", which is another CA than '
                f'the one expected. Have it issued by "{names.display(roots[0].subject)}".'
            )
        return _does_not_arrive(chain, roots[0])
    return (
        f"The chain is not accepted for {name}: {reason_of(error)}. Show this sentence to the CA, "
        "and have the certificate issued again."
    )


def reason_of(error: VerificationError) -> str:
    """Return what the verifier found, without what only its authors need."""
    return str(error).removeprefix("validation failed: ").partition(" (encountered")[0]


def _does_not_arrive(chain: Sequence[x509.Certificate], root: x509.Certificate) -> str:
    """Alone the leaf has mostly lost its intermediates; with some it is mostly another CA's."""
    last, expected = chain[-1], names.display(root.subject)
    if len(chain) == 1:
        return (
            f'{_issuer_is_missing(last)} If that CA is not below "{expected}", have the '
            f'certificate issued by "{expected}" instead.'
        )
    issuer = names.display(last.issuer)
    return (
        f'By its chain it is not from "{expected}": it leads to "{issuer}", which is not known '
        f'here. Have it issued by "{expected}". Only if that CA has signed "{issuer}", add the '
        f'certificate of "{issuer}" to the file and upload again.'
    )


def _issuer_is_missing(last: x509.Certificate) -> str:
    return (
        f'The chain is not complete: the issuer "{names.display(last.issuer)}" is missing. '
        "Add it to the file and upload again."
    )
