"""
The trusted root of an external CA, as an administrator uploads it: alone or at the end of a chain.

What is accepted here must also do for every server's certificate later, so that an upload that is
refused is refused before anybody had anything signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from pki import chains, keys, names, stand_ins


@dataclass(frozen=True)
class TrustedRoot:
    """A root that may become the zone's CA, and what came with it; nearest to the leaf first."""

    root: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    was_reordered: bool = False
    has_leaf: bool = False


def read(data: bytes, *, now: datetime) -> TrustedRoot:
    """
    Read the trusted root from a file: DER, PEM or PKCS #7 by content, alone or as a chain.

    A server's certificate at the front is passed over, and the order does not matter. Raises
    ValueError with a sentence for the user: unreadable, incomplete (with the issuer that is
    missing), two roots, expired or not valid yet at `now`, weak, or no CA.
    """
    given = list(dict.fromkeys(chains.load(data)))
    chains.check_readable(given)
    _refuse_weak_signatures(given)
    chain = _in_order(given)
    root = chains.root_of(chain)
    leaves = [one for one in chain[:1] if one != root and not _may_be_ca(one)]
    authorities = chain[len(leaves) :]
    for one in authorities:
        _check_ca(one)
    chains.check_worth(authorities, at=now, roots=[root])
    _check_path(authorities, root, at=now)
    return TrustedRoot(
        root=root,
        intermediates=tuple(authorities[:-1]),
        was_reordered=given != chain,
        has_leaf=bool(leaves),
    )


def _refuse_weak_signatures(given: Sequence[x509.Certificate]) -> None:
    """A signature that is not verified any more would look like an issuer that is missing."""
    for one in given:
        weak = one.signature_hash_algorithm
        if isinstance(weak, MD5) or (isinstance(weak, SHA1) and one.issuer != one.subject):
            name = names.display(one.subject) or "The certificate"
            raise ValueError(
                f"{name} is signed with {weak.name.upper()}, which can be forged. Ask its owner "
                "for a newer certificate."
            )


def _in_order(given: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the chain to the one root; another CA's certificate for that root is left out."""
    roots = [one for one in given if chains.is_self_signed(one)]
    if len(roots) > 1:
        listed = " and ".join(f'"{names.display(root.subject)}"' for root in roots[:2])
        raise ValueError(
            f"The file holds {len(roots)} roots, {listed}. Only one can be the future CA: upload "
            "the chain that leads to it."
        )
    return chains.order([one for one in given if not _stands_for(one, roots)])


def _stands_for(one: x509.Certificate, roots: Sequence[x509.Certificate]) -> bool:
    """Whether this is the root itself as another CA has certified it."""
    return any(
        one != root and one.subject == root.subject and keys.same_key(one, root) for root in roots
    )


def _may_be_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check_ca(certificate: x509.Certificate) -> None:
    """
    Raise ValueError unless the certificate says that it is a CA, as RFC 5280 wants it said.

    Critical basic constraints (4.2.1.9) and a key usage with keyCertSign (4.2.1.3): without them
    the certificates that it signs are refused.
    """
    name = names.display(certificate.subject) or "The certificate"
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound as error:
        raise ValueError(_no_ca(name, "has no extension basicConstraints")) from error
    if not constraints.value.ca:
        raise ValueError(_no_ca(name, "says CA:FALSE in its extension basicConstraints"))
    if not constraints.critical:
        what = "does not mark its extension basicConstraints as critical (RFC 5280, 4.2.1.9)"
        raise ValueError(_refused_below(name, what, _CONSTRAINTS))
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        what = "has no extension keyUsage, which says that it may sign (RFC 5280, 4.2.1.3)"
        raise ValueError(_refused_below(name, what, _USAGE)) from error
    if not usage.key_cert_sign:
        what = "lacks keyCertSign in its extension keyUsage (RFC 5280, 4.2.1.3)"
        raise ValueError(_refused_below(name, what, _USAGE))


# What to ask a CA for, in the words of OpenSSL, which every CA understands.
_CONSTRAINTS = "basicConstraints=critical,CA:TRUE"
_USAGE = "keyUsage=critical,keyCertSign,cRLSign"


def _no_ca(name: str, why: str) -> str:
    return (
        f"{name} is not a CA certificate: it {why}. Upload the root certificate of the external "
        f"CA. If it is this one, ask the CA for one with {_CONSTRAINTS} and {_USAGE}."
    )


def _refused_below(name: str, what: str, needed: str) -> str:
    return (
        f"{name} {what}. Clients that check strictly would refuse every certificate below it. Ask "
        f"the CA for one with {needed}; openssl req -x509 adds it with -addext {needed}."
    )


def _check_path(
    authorities: Sequence[x509.Certificate], root: x509.Certificate, *, at: datetime
) -> None:
    """Let the verifier judge the intermediates: path lengths, name constraints, signatures."""
    if len(authorities) < 2:
        return
    offered = stand_ins.offered(authorities[0], authorities[1:-1], [root])
    builder = PolicyBuilder().store(Store(offered.roots)).time(at)
    builder = builder.max_chain_depth(chains.MAX_CERTIFICATES)
    builder = builder.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    )
    try:
        builder.build_client_verifier().verify(offered.leaf, offered.others)
    except VerificationError as error:
        raise ValueError(
            f"The chain is not accepted: {chains.reason_of(error)}. Show this sentence to the CA, "
            "and ask it for a chain that keeps to RFC 5280."
        ) from error


def cautions(found: TrustedRoot) -> list[str]:
    """Return what the administrator should know of a chain that is accepted, in sentences."""
    said = []
    if not _has_key_identifier(found.root):
        said.append(
            "The root has no key identifier. Programs that check strictly, such as Python 3.13, "
            "refuse it."
        )
    if found.has_leaf:
        said.append("The server's certificate in the file is not needed here and was passed over.")
    return said


def _has_key_identifier(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return True


def is_renewal_of(new: x509.Certificate, old: x509.Certificate) -> bool:
    """Whether both roots are one CA: the same name and the same key, under two certificates."""
    return new.subject == old.subject and keys.same_key(new, old)
