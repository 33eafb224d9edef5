"""The older CAs that are still trusted when another generation is asked for."""

from functools import cached_property

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from certificates import links
from certificates.models import CertificateAuthority
from certificates.models.authority import State
from devices.models import Device


class StillTrusted:
    """What stands beside the active CA, and who needs it: said before the next remint begins."""

    def __init__(self, active: CertificateAuthority) -> None:
        self.active = active

    def __bool__(self) -> bool:
        return bool(self.authorities)

    @cached_property
    def authorities(self) -> list[CertificateAuthority]:
        """The CAs that are trusted beside the active one, oldest first."""
        rows = CertificateAuthority.objects.filter(zone=self.active.zone_id)
        return list(rows.filter(state=State.SUPERSEDED).order_by("generation"))

    @cached_property
    def oldest(self) -> CertificateAuthority | None:
        """The CA in whose name the one link is sent."""
        return links.oldest_beside(self.active)

    @cached_property
    def number(self) -> int:
        """How many devices report that they trust one of them and not the active CA."""
        reported = Cast("trusted_fingerprints", TextField())
        devices = Device.objects.filter(zone=self.active.zone_id).active()
        older = Q(pk__in=[])
        for authority in self.authorities:
            older |= Q(reported__contains=authority.sha256)
        needing = devices.annotate(reported=reported).filter(older)
        return needing.exclude(reported__contains=self.active.sha256).count()
