"""
Restore CA: what a backup holds is put on a Primary Server, which gets the CA role.

Everything is checked before anything is written. What is refused: another zone's backup, one
without the key of the active CA, one whose keys are not those of the zone. Rows stay as they are,
so what was issued since the backup stays known, and a serial number is never used again.
"""

from agent.faults import fault_point
from agent.home import Home
from certificates import backups, custody, keys, trust
from certificates.actions import key_requests
from certificates.backups import CannotDo
from certificates.keys import Ring
from certificates.models import CertificateAuthority, KeyRequest
from certificates.models.authority import State as CAState
from pki import signatures
from pki.backup import Contents
from zcc.ground import clock, here


def restore(request: KeyRequest, *, home: Home) -> None:
    """On the server that is to get the role: open, check, store, prove, take the role."""
    contents = backups.open_upload(request, home=home)
    check(contents, request, home=home)
    fault_point("restore-opened")
    ring = Ring({one.guid: one.key for one in contents.generations}, contents.update_key)
    with custody.LOCK:
        stored = keys.store_ring(home, request.zone, ring)
        _check_signs(stored, contents)
        fault_point("restore-stored")
        held = backups.findings(contents)
        custody.hand_over(request, set(stored.authorities), now=clock.now(), findings=held)
    trust.publish(request.zone, home=home, now=clock.now(), above=contents.epoch)


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
    pinned = home.read_file(here.UPDATE_KEY)
    if contents.update_key.public_key().public_bytes_raw() != pinned:
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
    if active.guid not in held:
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
    for one in contents.generations:
        if not signatures.proves_itself(stored.authorities[one.guid], one.certificate.public_key()):
            raise CannotDo(f"The key of generation {one.number} could not be stored.")
