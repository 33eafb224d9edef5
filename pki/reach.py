"""
Whether a client that trusts these CAs accepts what a server sends: by real path validation.

`cryptography.x509.verification` judges each chain (RFC 5280, 6), names and purposes included; what
a client could not verify itself, such as its clock or a firewall, is no part of it.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.x509.verification import VerificationError

from pki import chains, describe

SECOND = timedelta(seconds=1)
REMEMBERED = 65_536  # refusals and acceptances, about 200 bytes each


class Way(Enum):
    """How a client gets through to a server, in the words of the design."""

    YES = "Yes"
    LINK = "By link"
    BACKWARD_LINK = "By backward link"
    RESCUE = "By rescue port"
    NO = "No"


class WhyNot(Enum):
    """What keeps a client from accepting a server."""

    NO_PATH = "nothing that is sent leads to a CA that the client trusts"
    EXPIRED = "the path is not valid at that time"
    WRONG_NAME = "the certificate does not name the server"


@dataclass(frozen=True)
class Sent:
    """
    What a server sends: `chain` leaf first and without root, then one link at most.

    `is_backward` tells the link's direction: it vouches for the CA from before. `rescue` is what
    the rescue port shows; empty if it shows nothing.
    """

    name: str
    chain: tuple[x509.Certificate, ...]
    link: x509.Certificate | None = None
    is_backward: bool = False
    rescue: tuple[x509.Certificate, ...] = ()

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Everything that goes over the wire, in order."""
        return (*self.chain, self.link) if self.link else self.chain


class Judge:
    """
    Judges what servers send, and remembers every answer by a digest of the question.

    An answer can change only when a certificate of the path begins or ends, so a time counts as the
    span between two such instants, and nothing is judged again as time goes by.
    """

    def __init__(self) -> None:
        self._refusals: dict[str, str] = {}
        self.judged = 0  # how often the verifier was asked, and not the memory

    def way(self, sent: Sent, anchors: Sequence[x509.Certificate], *, at: datetime) -> Way:
        """Return how a client that trusts `anchors` and nothing else gets through at `at`."""
        if not anchors or not sent.chain:
            return Way.NO
        if not self._refusal(sent.certificates, anchors, sent.name, at):
            if not self._refusal(sent.chain, anchors, sent.name, at):
                return Way.YES  # also without the link
            return Way.BACKWARD_LINK if sent.is_backward else Way.LINK
        return Way.RESCUE if self._is_rescued(sent, anchors, at) else Way.NO

    def why_not(self, sent: Sent, anchors: Sequence[x509.Certificate], *, at: datetime) -> WhyNot:
        """Return why a client does not get through, of one that does not."""
        if not anchors or not sent.chain:
            return WhyNot.NO_PATH
        if "no matching subjectAltName" in self._refusal(sent.certificates, anchors, sent.name, at):
            return WhyNot.WRONG_NAME
        is_good_once = any(
            not self._refusal(path, [anchor], sent.name, max(_begins([*path, anchor])))
            for anchor in anchors
            for path in (sent.chain, sent.certificates)
        )
        return WhyNot.EXPIRED if is_good_once else WhyNot.NO_PATH

    def _is_rescued(self, sent: Sent, anchors: Sequence[x509.Certificate], at: datetime) -> bool:
        """The agent asks the rescue port without looking at dates: it is judged in its lifetime."""
        if not sent.rescue:
            return False
        moments = {min(at, end - 2 * SECOND) for end in _ends([*sent.rescue, *anchors])}
        return any(not self._refusal(sent.rescue, anchors, sent.name, then) for then in moments)

    def _refusal(
        self,
        path: Sequence[x509.Certificate],
        anchors: Sequence[x509.Certificate],
        name: str,
        at: datetime,
    ) -> str:
        """Return the verifier's own words, nothing if it accepts."""
        question = _digest(path, anchors, name, at)
        known = self._refusals.get(question)
        if known is None:
            known = refusal(path, anchors, name=name, at=at)
            self.judged += 1
            if len(self._refusals) >= REMEMBERED:
                self._refusals.clear()
            self._refusals[question] = known
        return known


def refusal(
    path: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    name: str,
    at: datetime,
) -> str:
    """Return the verifier's own words against the first of `path`, nothing if it accepts it."""
    try:
        chains.path_to(anchors, path[0], path[1:], name=name, at=at)
    except VerificationError as error:
        return str(error)
    return ""


def _digest(
    path: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    name: str,
    at: datetime,
) -> str:
    """Two questions that must have the same answer have the same digest."""
    everything = [*path, *anchors]
    span = bisect_right(sorted({*_begins(everything), *_ends(everything)}), at)
    sent, trusted = map(describe.fingerprint, path), map(describe.fingerprint, anchors)
    parts = [*sent, "trusted", *sorted(trusted), name, str(span)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _begins(certificates: Iterable[x509.Certificate]) -> list[datetime]:
    return [certificate.not_valid_before_utc for certificate in certificates]


def _ends(certificates: Iterable[x509.Certificate]) -> list[datetime]:
    """From when on each is not valid: RFC 5280, 4.1.2.5 includes the second of notAfter."""
    return [certificate.not_valid_after_utc + SECOND for certificate in certificates]
