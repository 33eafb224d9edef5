"""
Devices that no server of the zone can reach by TLS any more: they trust no CA that is trusted now.

Counted by what they report to trust, so that it costs the same in a zone of any size. A device that
has reported nothing yet is none of them.
"""

from dataclasses import dataclass, field

from django.db.models import Count, Min

from certificates.models import CertificateAuthority
from devices.models import Device, Zone

SHOWN = 3
MOST_SETS = 50  # of CAs that devices report, the rarest first: few are cut off, most are well


@dataclass(frozen=True)
class CutOff:
    """How many there are, and the first of them by name."""

    number: int = 0
    first: list[Device] = field(default_factory=list)


def cut_off(zone: Zone) -> CutOff:
    """Return the active devices of the zone that trust none of its CAs."""
    devices = Device.objects.filter(zone=zone).active().exclude_primary_servers()
    sets = devices.values_list("trust_set").annotate(number=Count("pk"), first=Min("name"))
    names = [name for *_, name in sets.order_by("number")[:MOST_SETS]]
    one_each = devices.filter(name__in=names).values_list("trust_set", "trusted_fingerprints")
    trusted = set(
        CertificateAuthority.objects.filter(zone=zone).trusted().values_list("sha256", flat=True)
    )
    digests = {digest for digest, reported in one_each if reported and not trusted & set(reported)}
    if not digests:
        return CutOff()
    rows = devices.filter(trust_set__in=digests).order_by("name")
    return CutOff(rows.count(), list(rows[:SHOWN]))
