"""
Restore CA: what a backup holds is put on a Primary Server, which gets the CA role.

Everything is checked before anything is written. What is refused: another zone's backup, one
without the key of the active CA (an external one has none here), one whose keys are not those of
the zone. Rows stay as they are, so what was issued since the backup stays known, and a serial
number is never used again. A key that has been destroyed since does not come back.
"""

from django.db import transaction

from agent.faults import fault_point
from agent.home import Home
from certificates import backups, custody, identity_cas, keys, trust
from certificates.actions import key_requests
from certificates.backups import CannotDo
from certificates.keys import Ring
from certificates.models import CertificateAuthority, KeyRequest
from certificates.models.authority import State as CAState
from devices.models import Zone
from pki import signatures
from pki.backup_contents import Contents
from zcc.ground import clock


def restore(request: KeyRequest, *, home: Home) -> None:
    """On the server that is to get the role: open, check, store, prove, take the role."""
    contents = backups.open_upload(request, home=home)
    check(contents, request, home=home)
    fault_point("restore-opened")
    with keys.LOCK:
        stored = keys.store_ring(home, request.zone, _wanted(contents, request.zone))
        _check_signs(stored, contents)
        fault_point("restore-stored")
        held = backups.findings(contents)
        given = custody.Given(set(stored.authorities), set(stored.identities))
        with transaction.atomic():
            custody.hand_over(request, given, now=clock.now(), findings=held)
            trust.publish(request.zone, home=home, now=clock.now(), above=contents.epoch)
    fault_point("role-restored")


def _wanted(contents: Contents, zone: Zone) -> Ring:
    """Return what of the backup is still of use to the zone."""
    rows = CertificateAuthority.objects.filter(zone=zone, key_destroyed_at=None)
    kept = set(rows.exclude(state=CAState.CANCELLED).values_list("guid", flat=True))
    known = {row.guid: row.x509() for row in identity_cas.of_use(zone)}
    found = [one for one in contents.identities if known.get(one.guid) == one.certificate]
    return Ring(
        {one.guid: one.key for one in contents.generations if one.guid in kept},
        contents.update_key,
        {one.guid: one.key for one in found},
    )


def check(contents: Contents, request: KeyRequest, *, home: Home) -> None:
    """Raise CannotDo with a sentence unless the backup fits this zone as it is now."""
    zone = request.zone
    if contents.zone != zone.guid:
        raise CannotDo(
            f"This is a backup of the zone {contents.zone_name}, not of {zone.name}. "
            "Choose the backup of this zone."
        )
    _check_overlap(request)
    _check_generations(contents, request)
    if not backups.has_our_update_key(contents, home=home):
        raise CannotDo("The update key in this backup is not the one that the zone's devices know.")


def _check_overlap(request: KeyRequest) -> None:
    """ "in Overlap all buttons work ..., Restore excepted" (design.md, section 7)."""
    if why_not := key_requests.why_not_in_overlap(request.zone):
        raise CannotDo(why_not)


def _check_generations(contents: Contents, request: KeyRequest) -> None:
    rows = CertificateAuthority.objects.filter(zone=request.zone).exclude(der=None)
    known = {row.guid: row for row in rows}
    for one in contents.generations:
        row = known.get(one.guid)
        if row is None or row.x509() != one.certificate:
            raise CannotDo(
                f"Generation {one.number} in this backup is not known in the zone's database. "
                "Restore the database that belongs to it first."
            )
    held = {one.guid for one in contents.generations}
    active = rows.get(state=CAState.ACTIVE)
    if active.is_internal and active.guid not in held:
        raise CannotDo(_too_old(contents, active))
    theirs = rows.trusted().filter(server=request.holder).exclude(guid__in=held)
    missing = [row.generation for row in theirs if row.is_internal]
    if missing and request.server != request.holder and request.holder.is_alive(clock.now()):
        raise CannotDo(
            f"The backup lacks the key of {backups.generations(missing)}, which is still trusted. "
            f"{request.holder.name} has it: use Move CA Role."
        )


def _too_old(contents: Contents, active: CertificateAuthority) -> str:
    numbers = backups.generations(one.number for one in contents.generations)
    return (
        f"This backup, of {contents.made_at:%d %b %Y}, holds {numbers}. The active CA is "
        f"generation {active.generation}, and its key is not in it. Choose a newer backup."
    )


def _check_signs(stored: Ring, contents: Contents) -> None:
    """Each key, read back from where it lies now, must sign for its certificate."""
    pairs = {one.guid: one.certificate for one in contents.generations}
    pairs |= {one.guid: one.certificate for one in contents.identities}
    for guid, key in [*stored.authorities.items(), *stored.identities.items()]:
        if not signatures.proves_itself(key, pairs[guid].public_key()):
            raise CannotDo("A key of the backup could not be stored.")
