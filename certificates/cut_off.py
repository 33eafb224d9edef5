"""
Devices that no server of the zone can reach by TLS any more: they trust no CA that is trusted now.

Counted by what they report to trust, and kept for a moment in a large zone, so that it costs the
same in a zone of any size. A device that has reported nothing yet is none of them.
"""

from dataclasses import dataclass, field

from django.db.models import Count, Min, QuerySet

from certificates.models import CertificateAuthority
from devices.models import Device, Kind, Zone
from zcc.ground import counting

SHOWN = 3
MOST_SETS = 50  # of CAs that devices report, the rarest first: few are cut off, most are well


@dataclass(frozen=True)
class CutOff:
    """How many there are, and the first of them by name."""

    number: int = 0
    first: list[Device] = field(default_factory=list)


def cut_off(zone: Zone) -> CutOff:
    """
    Return the active devices of the zone that trust none of its CAs.

    Mobiles need something else to come back, and are in certificates.mobiles_to_enrol.
    """
    rows = that_trust_none(zone).exclude(kind=Kind.MOBILE).order_by("name")
    number = rows.count()
    return CutOff(number, list(rows[:SHOWN])) if number else CutOff()


def that_trust_none(zone: Zone) -> QuerySet[Device]:
    """Return the active devices, mobiles too, that report CAs, and none that is trusted now."""
    devices = Device.objects.filter(zone=zone).active().exclude_primary_servers()
    names = _one_of_each(zone, devices)
    one_each = devices.filter(name__in=names).values_list("trust_set", "trusted_fingerprints")
    trusted = set(
        CertificateAuthority.objects.filter(zone=zone).trusted().values_list("sha256", flat=True)
    )
    digests = {digest for digest, reported in one_each if reported and not trusted & set(reported)}
    return devices.filter(trust_set__in=digests) if digests else devices.none()


def trusts_none(device: Device) -> bool:
    """Whether this device reports CAs, and none of them is trusted now."""
    reported = device.trusted_fingerprints
    known = CertificateAuthority.objects.filter(zone=device.zone_id).trusted()
    return bool(reported) and not known.filter(sha256__in=reported).exists()


def _one_of_each(zone: Zone, devices: QuerySet[Device]) -> list[str]:
    """The first device, by name, of each set of CAs that devices report, of the rarest sets."""

    def count() -> dict[str, int]:
        sets = devices.values_list("trust_set").annotate(number=Count("pk"), first=Min("name"))
        return {name: number for _, number, name in sets}

    numbers = counting.kept(("sets of CAs", zone.guid), count)
    return sorted(numbers, key=lambda name: numbers[name])[:MOST_SETS]
