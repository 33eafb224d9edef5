"""What a change of the CA means, in words, before it is begun: who vouches for whom."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509

from certificates import links
from certificates.models import CertificateAuthority
from certificates.models.authority import common_name
from certificates.wording import day_text, listed
from devices.models import Device
from pki import describe, names, trusted_root
from pki.trusted_root import TrustedRoot

SHOWN_NAMES = 8


@dataclass(frozen=True)
class Note:
    """One consequence: how serious it is, its first words, and the rest."""

    family: str
    strong: str
    text: str


@dataclass(frozen=True)
class Link:
    """One certificate of the chain that was uploaded."""

    name: str
    role: str
    expires_at: datetime
    valid_from: datetime
    key_length: str
    sha256: str
    subject: str
    is_root: bool


class CAChange:
    """From the active CA to another: an external one with this root, or an internal on `server`."""

    def __init__(
        self,
        ca: CertificateAuthority,
        *,
        now: datetime,
        root: TrustedRoot | None = None,
        was_reordered: bool = False,
        server: Device | None = None,
    ) -> None:
        self.ca, self.root, self.server, self.now = ca, root, server, now
        self.was_reordered = was_reordered

    @property
    def chain(self) -> list[Link]:
        """The uploaded chain, the root last."""
        if self.root is None:
            return []
        found = [_link(one, "Intermediate") for one in self.root.intermediates]
        return [*found, _link(self.root.root, "Root", is_root=True)]

    @cached_property
    def is_same_root(self) -> bool:
        """Whether this root is the active CA's own: then only the servers' certificates change."""
        return self.root is not None and describe.fingerprint(self.root.root) == self.ca.sha256

    @cached_property
    def why_no_link(self) -> str | None:
        """Why a late device cannot recognise the new CA by a link, None if it can."""
        if self.ca.is_expired(self.now):
            return "The active CA has expired: it vouches for nobody."
        if self.root is None:
            is_linked = links.oldest_signer(self.ca.zone) is not None
            return None if is_linked else "The active CA is external: it cannot vouch for another."
        return links.why_none(self.ca.zone, self.root.root, self.root.intermediates)

    def file_notes(self) -> list[Note]:
        """Return what is to be said of the file that was read."""
        if self.root is None:
            return []
        order = "The certificates were in another order; they have been put in order."
        said = [Note("ok", "The chain is complete.", order if self.was_reordered else "")]
        if self.root.intermediates:
            said.append(Note("warn", "The chain has an intermediate.", _INTERMEDIATE))
        cautions = trusted_root.cautions(self.root)
        return [*said, *(Note("warn", caution, "") for caution in cautions)]

    def notes(self) -> list[Note]:
        """Return what `Finish` will mean for devices and servers."""
        if self.is_same_root:
            return [Note("ok", "The root is the one that is trusted already.", _SAME_ROOT)]
        if self.root is not None and trusted_root.is_renewal_of(self.root.root, self.ca.x509()):
            return [Note("ok", "It is the same CA with a new certificate.", _SAME_KEY)]
        said = [note] if (note := self._moves()) is not None else []
        if self.why_no_link is not None:
            return [*said, Note("warn", "No link is possible.", f"{self.why_no_link} {_RESCUE}")]
        if self.root is not None:
            said.append(self._vouching(self.root))
        return said

    def _moves(self) -> Note | None:
        new, old = self.server, self.ca.server
        if new is None or old is None or new.pk == old.pk:
            return None
        role = "The CA role" if self.ca.is_internal else "The key that signs what devices are told"
        text = f"{new.name} makes the new key; {old.name} signs until then."
        return Note("ok", f"{role} moves from {old.name} to {new.name} at the activation.", text)

    def _vouching(self, root: TrustedRoot) -> Note:
        """Who signs the link, for which names, and how long."""
        oldest = links.oldest_signer(self.ca.zone) or self.ca
        is_active = oldest == self.ca
        ends = [root.root.not_valid_after_utc, *([oldest.expires_at] if oldest.expires_at else [])]
        until = f"until you retire {'the old' if is_active else 'that'} CA"
        permitted = listed(links.permitted(self.ca.zone), most=SHOWN_NAMES)
        return Note(
            "ok",
            f"{'The active CA' if is_active else oldest.named + ','} will vouch for the new one.",
            f"Servers send this link {until}, at most to {day_text(min(ends))}. It holds for these "
            f"names alone: {permitted}. A late device still connects by it.",
        )

    def policy_help(self) -> str:
        """Return what Overlap and Strict mean for this change."""
        strict = (
            "Strict: from the activation on only the new CA is trusted, and a late device needs "
            "the Certificate Updater Tool."
        )
        if self.is_same_root:
            return "Every device trusts this root already, so none is late for it."
        if self.why_no_link is not None:
            return (
                "Overlap: both CAs stay trusted until you retire the old one. There is no link, so "
                "a late device comes in by the rescue port (7446) and learns the new CA there; "
                f"other programs on it are refused until then. {strict}"
            )
        return (
            "Overlap: both CAs stay trusted until you retire the old one. A late device connects "
            f"by the link and catches up at its next refresh. {strict}"
        )


_INTERMEDIATE = (
    "Clients that know only the root need the intermediate from the servers, which send it. "
    "Whatever names the issuer, such as security policies, must be published again."
)
_SAME_ROOT = "Only the servers' certificates change. No device has to learn anything."
_SAME_KEY = (
    "Devices learn its new certificate. One that is late still recognises the servers, because "
    "name and key stay, as long as the old certificate is valid."
)
_RESCUE = "A late device comes in by the rescue port instead, and learns the new CA there."


def _link(certificate: x509.Certificate, role: str, *, is_root: bool = False) -> Link:
    facts = describe.describe(certificate)
    assert facts.valid_from is not None and facts.expires_at is not None  # it has been judged
    return Link(
        name=names.printable(common_name(facts.subject)),
        role=role,
        expires_at=facts.expires_at,
        valid_from=facts.valid_from,
        key_length=facts.key_length,
        sha256=facts.sha256,
        subject=facts.subject,
        is_root=is_root,
    )
