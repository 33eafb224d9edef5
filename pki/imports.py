"""
Imported server certificates: what an external CA has signed, judged before it is ever used.

A path is found and judged by cryptography.x509.verification alone; what is done by hand is only
choosing which certificates are offered to it, and saying in a sentence why one is refused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import VerificationError

from pki import chains, keys, names

# Judging costs the product of a leaf's names and a CA's name constraints: both are bounded, and
# with them the time (the worst of a public test suite took 0.3 s for one name).
MAX_NAMES = 200
MAX_CONSTRAINTS = 200


@dataclass(frozen=True)
class Wanted:
    """What a server needs: names and addresses, valid at a time, leading to one root."""

    names: Sequence[str]
    at: datetime
    root: x509.Certificate


@dataclass(frozen=True)
class Pair:
    """A server's certificate, what came with it, and its private key."""

    leaf: x509.Certificate
    others: list[x509.Certificate]
    key: keys.PrivateKey

    @property
    def chain_pem(self) -> bytes:
        """The chain as it came, leaf first, without a root."""
        sent = [self.leaf, *(one for one in self.others if not chains.is_self_signed(one))]
        return b"".join(one.public_bytes(Encoding.PEM) for one in sent)


def read_pair(certificate_file: bytes, key_file: bytes, *, name: str) -> Pair:
    """
    Read a certificate file (called `name`) and a key file, and find the key's certificate.

    Raises ValueError with a sentence: not readable, or the key is that of none of them.
    """
    key = keys.load(key_file)
    found = chains.load(certificate_file)
    chains.check_readable(found)
    leaf = next((one for one in found if keys.spki_of(one) == keys.spki(key)), None)
    if leaf is None:
        raise ValueError(f"The private key in key.der belongs to no certificate in {name}.")
    return Pair(leaf, [one for one in dict.fromkeys(found) if one != leaf], key)


def is_ca(certificate: x509.Certificate) -> bool:
    """Say whether it is a CA's certificate (RFC 5280, 4.2.1.9). Raises ValueError: unreadable."""
    chains.check_readable([certificate])
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def intermediates_for(
    leaf: x509.Certificate, pool: Iterable[x509.Certificate], wanted: Wanted
) -> list[x509.Certificate]:
    """
    Return the intermediates that lead from the leaf to the root, out of `pool`, in order.

    Raises ValueError with a sentence for the user when the leaf will not do: a CA's, unreadable,
    expired or not yet valid at that time, weak, incomplete, of another CA, or without a name.
    """
    chains.check_readable([leaf, wanted.root])
    if is_ca(leaf):
        raise ValueError(
            "This is the certificate of a CA, not of a server. Import the server's certificate."
        )
    at = wanted.at.replace(microsecond=0)  # RFC 5280, 4.1.2.5: validity counts in seconds
    wanted = replace(wanted, at=at)
    _check_lifetime(leaf, at)
    candidates = _candidates(leaf, pool, wanted.root)
    for certificate in (leaf, *candidates, wanted.root):
        _check_size(certificate)
    between = _path_of(leaf, candidates, wanted)
    offered = [leaf, *(candidates if between is None else between)]
    chains.check_server_chain(offered, None, wanted=wanted.names, at=at, roots=[wanted.root])
    _check_constrained(leaf, [*offered[1:], wanted.root])
    return offered[1:]


def _check_lifetime(leaf: x509.Certificate, at: datetime) -> None:
    if leaf.not_valid_after_utc < at:
        raise ValueError(
            f"It expires on {_day(leaf.not_valid_after_utc)}, before it would be used on "
            f"{_day(at)}. Have it issued for longer."
        )
    if at < leaf.not_valid_before_utc:
        raise ValueError(
            f"It is valid only from {_day(leaf.not_valid_before_utc)}, after it would be used on "
            f"{_day(at)}. Have it issued again, or postpone the activation."
        )


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


def _candidates(
    leaf: x509.Certificate, pool: Iterable[x509.Certificate], root: x509.Certificate
) -> list[x509.Certificate]:
    """The certificates that might stand between the leaf and the root, by their names."""
    found: list[x509.Certificate] = []
    rest = [one for one in dict.fromkeys(pool) if one not in (leaf, root) and _is_readable(one)]
    names_sought = {leaf.issuer}
    while names_sought and len(found) < chains.MAX_CERTIFICATES:
        following = [one for one in rest if one.subject in names_sought and one not in found]
        found += following
        names_sought = {one.issuer for one in following}
    return found[: chains.MAX_CERTIFICATES]


def _is_readable(certificate: x509.Certificate) -> bool:
    try:
        return is_ca(certificate)
    except ValueError:
        return False


def _check_size(certificate: x509.Certificate) -> None:
    """Refuse what would be slow to judge (RFC 5280, 4.2.1.6 and 4.2.1.10, set no bound)."""
    if _alternatives(certificate) > MAX_NAMES:
        raise ValueError(f"It has more than {MAX_NAMES} alternative names. Have it issued again.")
    if len(_constraints(certificate)) > MAX_CONSTRAINTS:
        raise ValueError(
            f"{names.display(certificate.subject)} has more than {MAX_CONSTRAINTS} name "
            "constraints. Have the certificate issued by another CA."
        )


def _alternatives(certificate: x509.Certificate) -> int:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return len(list(found.value))
    except x509.ExtensionNotFound:
        return 0


def _constraints(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [*(found.permitted_subtrees or []), *(found.excluded_subtrees or [])]


def _check_constrained(leaf: x509.Certificate, issuers: Sequence[x509.Certificate]) -> None:
    """
    Refuse names that a CA with name constraints might not speak for, and the verifier passes over.

    It judges DNS names and addresses (RFC 5280, 4.2.1.10), but neither mail addresses, nor what
    stands in the subject: a mail address, or a common name that programs take for a DNS name.
    """
    kinds = {type(name) for issuer in issuers for name in _constraints(issuer)}
    if not kinds:
        return
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    judged = (x509.DNSName, x509.IPAddress)
    odd = [name for name in found if type(name) in kinds and not isinstance(name, judged)]
    odd_names = _odd_common_names(leaf, found) if x509.DNSName in kinds else []
    if x509.RFC822Name in kinds:
        odd_names += _values(leaf.subject, NameOID.EMAIL_ADDRESS)
    if odd or odd_names:
        raise ValueError(
            "Its CA may speak for certain names only, and it has one that cannot be judged: "
            f"{_named(odd, odd_names)}. Have it issued with DNS names and addresses alone."
        )


def _odd_common_names(
    leaf: x509.Certificate, alternatives: x509.SubjectAlternativeName
) -> list[str]:
    """Common names that look like a DNS name and are none of the alternative names."""
    hosts = set(alternatives.get_values_for_type(x509.DNSName))
    common = _values(leaf.subject, NameOID.COMMON_NAME)
    return [name for name in common if "." in name and " " not in name and name not in hosts]


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]


def _named(odd: Sequence[x509.GeneralName], common: Sequence[str]) -> str:
    if common:
        return f"{names.printable(common[0][:80])} in its subject"
    return f"a name of the kind {type(odd[0]).__name__}"


def _path_of(
    leaf: x509.Certificate, candidates: Sequence[x509.Certificate], wanted: Wanted
) -> list[x509.Certificate] | None:
    """The intermediates that the verifier chose for the first name; None if there is no path."""
    try:
        path = chains.path_to([wanted.root], leaf, candidates, name=wanted.names[0], at=wanted.at)
    except VerificationError:
        return None
    return path[1:-1]
