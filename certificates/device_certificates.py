"""The tab `Certificates` of a device: whom it says it trusts, and certificates of its own."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from certificates import mobiles_to_enrol
from certificates.generations import IdentitySigner, identity_signers
from certificates.models import CertificateAuthority, MobileIdentity, ServerCertificate
from certificates.models.authority import State as CAState
from certificates.models.server_certificate import COMING_STATES, State
from devices.models import Device, EnrolmentLink

SHOWN = 6


@dataclass(frozen=True)
class Anchor:
    """A CA that the device trusts; unknown ones have no row."""

    sha256: str
    authority: CertificateAuthority | None

    @property
    def role(self) -> str:
        """What this CA is to the zone."""
        if self.authority is None:
            return "not a CA of this zone"
        return {
            CAState.FUTURE: "future CA",
            CAState.ACTIVE: "active CA",
            CAState.SUPERSEDED: "old CA, still trusted",
            CAState.RETIRED: "retired CA",
            CAState.CANCELLED: "CA of a canceled operation",
        }[CAState(self.authority.state)]

    @property
    def is_worry(self) -> bool:
        """Whether the device should not trust it any more, or at all."""
        gone = (CAState.RETIRED, CAState.CANCELLED)
        return self.authority is None or self.authority.state in gone


class DeviceCertificates:
    """What the tab shows."""

    def __init__(self, device: Device, *, now: datetime) -> None:
        self.device, self.now = device, now

    @cached_property
    def anchors(self) -> list[Anchor]:
        """The CAs in the device's own report, those of the zone in order of generation first."""
        reported = list(self.device.trusted_fingerprints)
        rows = CertificateAuthority.objects.filter(zone=self.device.zone, sha256__in=reported)
        known = {row.sha256: row for row in rows.defer("der").order_by("generation")}
        ours = [Anchor(sha256, row) for sha256, row in known.items()]
        return [*ours, *[Anchor(sha256, None) for sha256 in reported if sha256 not in known]]

    @cached_property
    def missing(self) -> list[CertificateAuthority]:
        """The CAs it should trust and does not."""
        rows = CertificateAuthority.objects.filter(zone=self.device.zone).trusted()
        return list(rows.defer("der").exclude(sha256__in=self.device.trusted_fingerprints))

    @cached_property
    def own(self) -> list[ServerCertificate]:
        """Its certificate in use and the one on its way."""
        shown = [State.CURRENT, *COMING_STATES]
        rows = ServerCertificate.objects.filter(device=self.device, state__in=shown)
        return list(rows.defer("der", "csr").select_related("operation").order_by("created_at"))

    @cached_property
    def identities(self) -> list[MobileIdentity]:
        """Of a mobile: its identity, the next one, and the last few before it; newest first."""
        rows = MobileIdentity.objects.filter(device=self.device).defer("der", "csr")
        return list(
            rows.select_related("authority", "identity_ca__authority", "link").order_by("-pk")[
                :SHOWN
            ]
        )

    @cached_property
    def identity_signers(self) -> list[IdentitySigner]:
        """Of a mobile: who signs identities while the zone's CA is an external one."""
        found = identity_signers(self.device.zone, now=self.now)
        return [signer for signer in found if signer.is_of_use]

    @cached_property
    def why_to_enrol(self) -> str:
        """Of a mobile that cannot call any more: why; nothing as long as it can."""
        return mobiles_to_enrol.why(self.device, now=self.now)

    @cached_property
    def open_links(self) -> list[EnrolmentLink]:
        """Of a mobile: the re-enrolment links that nobody has used, newest first."""
        rows = self.device.enrolment_links.open(self.now)
        return list(rows.select_related("created_by")[:SHOWN])

    @property
    def has_server_certificate(self) -> bool:
        """Whether a device of its kind has a certificate of its own."""
        return self.device.is_primary_server or self.device.is_authentication_satellite
