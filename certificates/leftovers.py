"""
What a worker held that died: its successor on the same server need not wait for the leases to end.

A worker that only stood still finds its claims gone when it goes on, as after the end of a lease.
"""

from django.db.models import QuerySet

from certificates import due
from certificates.models import (
    CertificateAuthority,
    EvidencePack,
    HomeTrust,
    IdentityCA,
    JoinRequest,
    KeyEnd,
    KeyRemoval,
    KeyRequest,
    LinkRequest,
    MobileIdentity,
    Operation,
    Rehearsal,
    SealedTransfer,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.authority import State
from devices.models import Device
from systemupdates.models import Replication
from zcc.ground.claims import Claimable


def free(server: Device) -> int:
    """Free every row that only a worker of this server claims; return how many there were."""
    return sum(
        rows.exclude(claim_id=None).update(claim_id=None, lease_until=None)
        for rows in _claimed_by(server)
    )


def _claimed_by(server: Device) -> "list[QuerySet[Claimable]]":
    found: list[QuerySet[Claimable]] = [
        ServerProgress.objects.filter(device=server),
        ServerCertificate.objects.filter(device=server, operation=None),
        HomeTrust.objects.filter(device=server),
        KeyRequest.objects.filter(turn=server),
        KeyRemoval.objects.filter(server=server),
        Replication.objects.filter(server=server),
        Operation.objects.filter(initiating_server=server),
        LinkRequest.objects.filter(authority__server=server),
        Rehearsal.objects.filter(server=server),
        SealedTransfer.objects.filter(sealed=None, sender=server),
        SealedTransfer.objects.exclude(sealed=None).filter(receiver=server),
        KeyEnd.objects.filter(authority__server=server),
        IdentityCA.objects.filter(server=server),
    ]
    signs = CertificateAuthority.objects.filter(zone=server.zone, server=server)
    if signs.filter(state__in=[State.ACTIVE, State.FUTURE]).exists():
        found.append(ServerCertificate.objects.filter(device__zone=server.zone))
    if due.signing_server(server.zone) == server:
        found.append(JoinRequest.objects.filter(token__zone=server.zone))
        found.append(MobileIdentity.objects.filter(device__zone=server.zone))
        found.append(EvidencePack.objects.filter(operation__zone=server.zone))
    return found
