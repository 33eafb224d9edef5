"""
Move CA Role, one step at a time: seal, store and prove, give up.

The holder has role and keys until the new server has signed with every one of them. The role moves
by one UPDATE; a process may die before or after it, and between any two lines.
"""

from collections.abc import Mapping
from uuid import UUID

from agent.faults import fault_point
from agent.home import Home
from certificates import backups, custody, keys, sealing_keys
from certificates.actions.key_requests import STEP_WITHIN
from certificates.backups import CannotDo
from certificates.keys import Ring
from certificates.models import KeyRequest
from pki import keys as pki_keys
from pki import signatures
from zcc.ground import clock

_UPDATE_KEY = "update"


def send(request: KeyRequest, *, home: Home) -> None:
    """On the holder: seal all keys for the new server alone."""
    ring = keys.ring(home, request.zone)
    active = backups.active_ca(request.zone)
    has_key = active.guid in ring.authorities or not active.is_internal
    if active.server_id != request.holder_id or not has_key:
        raise CannotDo(f"{request.holder.name} does not hold the key of the active CA.")
    now = clock.now()
    sealed = sealing_keys.seal(
        request.server, ring.to_bytes(), context=sealed_for(request), home=home, now=now
    )
    fault_point("move-sealed")
    request.mark_sent(sealed, until=now + STEP_WITHIN)


def receive(request: KeyRequest, *, home: Home) -> None:
    """On the new server: store all keys, and sign with each as it lies here."""
    plain = sealing_keys.unseal(
        bytes(request.sealed or b""), context=sealed_for(request), home=home
    )
    with keys.LOCK:
        stored = keys.store_ring(home, request.zone, Ring.from_bytes(plain))
        fault_point("move-stored")
        request.mark_proven(_proofs(request, stored), until=clock.now() + STEP_WITHIN)
    fault_point("move-proven")


def give_up(request: KeyRequest, *, home: Home) -> None:
    """On the holder: check every signature with the keys that lie here, then let the role go."""
    custody.refuse_while_busy(request.zone)  # an operation may have made another key meanwhile
    ring = keys.ring(home, request.zone)
    _check_proofs(request, ring)
    fault_point("move-checked")
    proven = {guid for guid, key in ring.identities.items() if _is_proven(request, guid, key)}
    given = custody.Given(set(ring.authorities), proven)
    custody.hand_over(request, given, now=clock.now())


def sealed_for(request: KeyRequest) -> bytes:
    """What binds the keys on their way to this request and its new server."""
    return request.context("keys")


def _statement(request: KeyRequest, which: str) -> bytes:
    return request.context(f"proof {which}")


def _proofs(request: KeyRequest, ring: Ring) -> dict[str, str]:
    signed = {
        str(guid): signatures.sign(key, _statement(request, str(guid)))
        for guid, key in [*ring.authorities.items(), *ring.identities.items()]
    }
    signed[_UPDATE_KEY] = ring.update_key.sign(_statement(request, _UPDATE_KEY))
    return {which: signature.hex() for which, signature in signed.items()}


def _check_proofs(request: KeyRequest, ring: Ring) -> None:
    """Ed25519 signatures are deterministic, so that of the update key is made again."""
    again = ring.update_key.sign(_statement(request, _UPDATE_KEY)).hex()
    if request.proofs.get(_UPDATE_KEY) != again or not all(
        _is_proven(request, guid, key) for guid, key in ring.authorities.items()
    ):
        raise CannotDo(f"{request.server.name} could not prove that it can sign.")


def _is_proven(request: KeyRequest, guid: UUID, key: pki_keys.PrivateKey) -> bool:
    proofs: Mapping[str, str] = request.proofs
    try:
        signature = bytes.fromhex(proofs.get(str(guid), ""))
    except ValueError:
        return False
    return signatures.is_valid(key.public_key(), _statement(request, str(guid)), signature)
