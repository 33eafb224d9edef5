"""
What a device must have so that nothing is new to it: the newest manifest, and a CA that serves.

Read anew for each lot of refreshes: what an administrator does holds for the next one.
"""

from dataclasses import dataclass

from django.db.models import Q

from certificates import trust
from certificates.models import CertificateAuthority, Operation, PublishedTrust
from certificates.models.authority import State
from certificates.models.operation import State as OperationState
from devices.models import Device

# Rows of updates whose devices may be asked to prove the new CA: see api.prove_for.
_WAITING = (OperationState.ASSIGNED, OperationState.ARMED)
TELLING = Q(update__in=Operation.objects.filter(state__in=_WAITING).values("update"))


@dataclass(frozen=True)
class Wanted:
    """What the running agent of a device trusts if there is nothing to be told or noted."""

    zone: int
    epoch: int
    anchors: list[str]
    active: frozenset[str]

    def is_met_by(self, device: Device) -> bool:
        """Whether the device would be sent no manifest, and no CA is kept on for it."""
        return (
            device.zone_id == self.zone
            and device.trust_epoch == self.epoch
            and device.trusted_fingerprints == self.anchors
            and not self.active.isdisjoint(self.anchors)
        )


def wanted() -> Wanted | None:
    """Return what holds now; None before anything was published."""
    last = PublishedTrust.objects.defer("envelope").order_by("zone", "epoch").last()
    if last is None:
        return None
    active = CertificateAuthority.objects.filter(zone=last.zone_id, state=State.ACTIVE)
    known = frozenset(active.values_list("sha256", flat=True))
    return Wanted(last.zone_id, last.epoch, _anchors(last), known)


# Of the manifest that was read last, by id and digest: it is signed and never changes.
_read: dict[tuple[int, int, str], list[str]] = {}


def _anchors(published: PublishedTrust) -> list[str]:
    key = (published.pk, published.epoch, published.digest)
    found = _read.get(key)
    if found is None:
        found = sorted(trust.anchors_in(published))
        _read.clear()
        _read[key] = found
    return found
