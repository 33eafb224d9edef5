"""Certificate signing requests (PKCS #10, RFC 2986)."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from pki import issue, keys, names

MAX_CSR = 64 * 1024  # bytes


def build(
    key: keys.PrivateKey, *, subject_dns: str, dns_names: list[str], ip_addresses: list[str]
) -> bytes:
    """
    Return a request in DER for a server's certificate, signed by its own key.

    Its names are normalised. Raises ValueError with a sentence for a name that is none.
    """
    subject = names.server_subject(names.check_dns_name(subject_dns))
    alternatives = issue.alternative_names([subject_dns, *dns_names], ip_addresses)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(alternatives, critical=False)
    return request.sign(key, SHA256()).public_bytes(Encoding.DER)


def check(der: bytes) -> keys.PublicKey:
    """
    Return the public key of a request whose signature proves that its sender holds the key.

    Nothing else is taken from a request: names come from the server's record. Raises ValueError
    with a sentence: too large, not a request, not signed by its key, a key that is too weak.
    """
    if len(der) > MAX_CSR:
        raise ValueError("The request is larger than 64 KiB.")
    try:
        request = x509.load_der_x509_csr(der)
        public, is_proven = request.public_key(), request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("This is not a certificate signing request in DER form.") from error
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"Its key is {keys.label(public)}; use RSA, EC P-256 or EC P-384.")
    if not is_proven:
        raise ValueError("The request is not signed by its own key.")
    if reason := keys.is_acceptable(public):
        raise ValueError(reason)
    return public
