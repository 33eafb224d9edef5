"""What `View Certificate` shows of every certificate: of a server, of a CA, a link."""

from dataclasses import dataclass, field
from datetime import datetime

from django.shortcuts import get_object_or_404
from django.urls import reverse

from certificates.generations import KeyState, identity_key_state, key_state
from certificates.models import (
    CertificateAuthority,
    IdentityCA,
    LinkCertificate,
    MobileIdentity,
    ServerCertificate,
)
from certificates.models.authority import State as CAState
from certificates.models.authority import common_name
from certificates.models.certificate import Certificate
from certificates.models.server_certificate import State as ServerState
from pki import chains, describe
from zcc.templatetags.times import days_left_text
from zcc.templatetags.words import family, word_icon

_CA_WORDS = {
    CAState.FUTURE: "Future certificate",
    CAState.ACTIVE: "Active",
    CAState.SUPERSEDED: "Still trusted",
    CAState.RETIRED: "Retired",
    CAState.CANCELLED: "Canceled",
}


@dataclass(frozen=True)
class Member:
    """One certificate of a chain; `url` shows it, if it is among ours."""

    name: str
    role: str
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A certificate in the dialog."""

    kind: str
    row: Certificate
    lead: str
    word: str
    now: datetime
    chain: list[Member] = field(default_factory=list)
    # Of a CA: where its private key is.
    key: KeyState | None = None

    @property
    def family(self) -> str:
        return "ok" if self.word == "Still trusted" else family(self.word)

    @property
    def icon(self) -> str:
        return "intersect" if self.word == "Still trusted" else word_icon(self.word)

    @property
    def left(self) -> str:
        """How much of its life is left, while that matters."""
        if self.row.expires_at is None or self.family not in ("ok", "wait"):
            return ""
        return days_left_text(self.row.expires_at, now=self.now)

    @property
    def is_root(self) -> bool:
        return self.kind in ("ca", "identity_ca") and self.row.subject == self.row.issuer

    @property
    def file_name(self) -> str:
        """What a download is called, without its ending."""
        name = common_name(self.row.subject)
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
        return f"{plain.strip('-') or 'certificate'}-{self.row.sha256[:8]}"


def shown(kind: str, pk: int, *, now: datetime) -> Shown:
    """Return the certificate that an address names, or raise Http404."""
    makers = {
        "ca": _authority,
        "server": _server,
        "link": _link,
        "identity": _identity,
        "identity_ca": _identity_ca,
    }
    return makers[kind](pk, now)


def _authority(pk: int, now: datetime) -> Shown:
    rows = CertificateAuthority.objects.select_related("server__heartbeat").exclude(sha256="")
    ca = get_object_or_404(rows, pk=pk)
    word = (
        "Expired"
        if ca.is_expired(now) and ca.state == CAState.ACTIVE
        else _CA_WORDS[CAState(ca.state)]
    )
    where = f"internal, on {ca.server.name}" if ca.is_internal and ca.server else "external"
    lead = f"{_CA_LEADS.get(CAState(ca.state), 'Zone Certificate Authority')}, {where}"
    key = key_state(ca, now=now)
    return Shown(kind="ca", row=ca, lead=lead, word=word, now=now, chain=[], key=key)


_CA_LEADS = {
    CAState.FUTURE: "Future Zone Certificate Authority",
    CAState.SUPERSEDED: "Old Zone Certificate Authority, still trusted",
    CAState.RETIRED: "Retired Zone Certificate Authority",
    CAState.CANCELLED: "Zone Certificate Authority of a canceled operation",
}


def _server(pk: int, now: datetime) -> Shown:
    rows = ServerCertificate.objects.select_related("device", "authority").exclude(sha256="")
    certificate = get_object_or_404(rows, pk=pk)
    is_future = certificate.state == ServerState.FUTURE
    lead = f"{'Future certificate' if is_future else 'Certificate'} of {certificate.device.name}"
    members = [Member(common_name(certificate.subject), "this certificate")]
    for between in (
        chains.load(certificate.intermediates.encode()) if certificate.intermediates else []
    ):
        name = common_name(describe.describe(between).subject)
        members.append(Member(name, "intermediate"))
    members.append(_root(certificate.authority, certificate.issuer))
    return Shown(
        kind="server",
        row=certificate,
        lead=lead,
        word=certificate.status(now),
        now=now,
        chain=members,
    )


def _link(pk: int, now: datetime) -> Shown:
    rows = LinkCertificate.objects.select_related("certified", "authority")
    link = get_object_or_404(rows, pk=pk)
    is_forward = link.certified.generation > link.authority.generation
    lead = (
        "Link: the new CA signed by the old" if is_forward else "Link: the old CA signed by the new"
    )
    is_expired = link.expires_at is not None and link.expires_at <= now
    word = "Canceled" if link.revoked_at else "Expired" if is_expired else "Active"
    members = [Member(common_name(link.subject), "this link"), _root(link.authority, link.issuer)]
    return Shown(kind="link", row=link, lead=lead, word=word, now=now, chain=members)


def _identity(pk: int, now: datetime) -> Shown:
    rows = MobileIdentity.objects.select_related("device", "authority", "identity_ca")
    identity = get_object_or_404(rows.exclude(sha256=""), pk=pk)
    members = [
        Member(common_name(identity.subject), "this identity"),
        _identity_root(identity.identity_ca)
        if identity.identity_ca
        else _root(identity.authority, identity.issuer),
    ]
    lead = f"Identity of {identity.device.name}"
    word = identity.status(now)
    return Shown(kind="identity", row=identity, lead=lead, word=word, now=now, chain=members)


def _identity_ca(pk: int, now: datetime) -> Shown:
    rows = IdentityCA.objects.made().select_related("server", "authority")
    row = get_object_or_404(rows, pk=pk)
    is_expired = row.expires_at is not None and row.expires_at <= now
    is_over = row.replaced_at is not None or row.key_destroyed_at is not None
    word = "Expired" if is_expired else "Replaced" if is_over else "Active"
    lead = f"Identity CA, on {row.server.name}: signs identities of mobile devices, nothing else"
    key = identity_key_state(row)
    return Shown(kind="identity_ca", row=row, lead=lead, word=word, now=now, key=key)


def _identity_root(row: IdentityCA) -> Member:
    url = reverse("certificates:view_certificate", args=["identity_ca", row.pk])
    return Member(f"{row.common_name}, for identities alone", "root", url)


def _root(authority: CertificateAuthority | None, issuer: str) -> Member:
    if authority is None:
        return Member(common_name(issuer), "issuer")
    url = reverse("certificates:view_certificate", args=["ca", authority.pk])
    return Member(
        f"{authority.common_name}, {_CA_WORDS[CAState(authority.state)].lower()}", "root", url
    )
