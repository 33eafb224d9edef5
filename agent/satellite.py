"""
The Authentication role: keys and requests for the certificates this Satellite is to have.

Needs `pki`, and with it the `cryptography` package; everything else in the agent does not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from agent import pem
from agent.home import Home, HomeError
from pki import csr, describe, imports, keys

Slot = dict[str, Any]
MAX_CHAIN = 128 * 1024  # bytes that fit into a report


def follow(home: Home, slots: Sequence[Slot], *, log: Callable[[str], None]) -> None:
    """
    Have a key for each slot of `slots`, and keep the certificates that have come.

    Arming, activating and cleaning up are not done here: the trust manifest says when.
    """
    for slot in slots:
        try:
            if slot["slot"] == "current":
                _follow_current(home, slot, log)
            else:
                _follow_future(home, slot, log)
        except HomeError as error:
            log(f"The {slot['slot']} certificate was not taken. {error}")


def report(home: Home, slots: Sequence[Slot]) -> list[Slot]:
    """Return what this Satellite has in each slot, with a request for what it lacks."""
    by_name = {slot["slot"]: slot for slot in slots}
    return [_report_current(home, by_name.get("current")), _report_future(home, by_name)]


def differ(one: Sequence[Slot], other: Sequence[Slot]) -> bool:
    """Return whether two reports say different things. A request is new each time it is signed."""
    return [{**slot, "csr": None} for slot in one] != [{**slot, "csr": None} for slot in other]


def situation(home: Home, slots: Sequence[Slot]) -> dict[str, Any]:
    """Return what `plan` needs to know of the certificates that are here or expected."""
    reserved, previous = home.read_file("remint-repo/operation"), home.read_file("previous/ca.cert")
    wanted = [slot["operation"] for slot in slots or [] if slot["slot"] == "future"]
    return {
        "reserved": None if reserved is None else reserved.decode(),
        "expected": str(wanted[0]) if wanted else None,
        "staged": home.staged() is not None,
        "armed": home.read_file("remint-repo/go-ahead.json") is not None,
        "old_anchor": None if previous is None else pem.fingerprint(previous),
    }


def _follow_current(home: Home, slot: Slot, log: Callable[[str], None]) -> None:
    if not slot["chain"]:
        home.current_key(lambda: _new_key(slot))
        return
    requested = home.read_file("security/requested.der")
    chain = slot["chain"].encode("ascii")
    _roll_back(home, slot, log)
    live = home.live()
    if live is not None and live.leaf_sha256 == pem.fingerprint(chain):
        home.set_link(_optional(slot.get("link")), leaf_sha256=live.leaf_sha256)
    if requested is not None and (live is None or live.leaf_sha256 != pem.fingerprint(chain)):
        home.install(key_der=requested, chain_pem=chain, ca_pem=slot["ca"].encode("ascii"))
        log("The server certificate is in use.")


def _roll_back(home: Home, slot: Slot, log: Callable[[str], None]) -> None:
    """Go back to the certificate before if the operation it was replaced in is rolled back."""
    operation = slot.get("rolled_back")
    if operation and home.roll_back(str(operation), link_pem=_optional(slot.get("link"))):
        log("The old server certificate is in use again.")


def _follow_future(home: Home, slot: Slot, log: Callable[[str], None]) -> None:
    operation, before = slot["operation"], home.staged()
    live = home.live()
    if live is not None and live.operation == operation:
        return  # the server has not heard yet that this Satellite has switched
    if slot.get("by_hand"):
        home.reserve(operation)
    else:
        home.future_key(operation, lambda: _new_key(slot), request=int(slot.get("request") or 0))
    if slot["chain"]:
        home.stage(
            operation,
            chain_pem=slot["chain"].encode("ascii"),
            ca_pem=slot["ca"].encode("ascii"),
            link_pem=_optional(slot.get("link")),
            bridge_pem=_optional(slot.get("bridge")),
            key_der=_key_by_hand(home, slot) if slot.get("by_hand") else None,
        )
        if home.staged() != before:
            log("The future server certificate is staged.")


def _key_by_hand(home: Home, slot: Slot) -> bytes:
    """Return the key in remint-repo, if the certificate there still is the one that is expected."""
    found = by_hand(home, slot["operation"])
    if found is None or describe.fingerprint(found.leaf) != pem.fingerprint(slot["chain"].encode()):
        raise HomeError("The certificate in remint-repo has been exchanged; it is looked at anew.")
    return keys.to_der(found.key)


def by_hand(home: Home, operation: str) -> imports.Pair | None:
    """
    Return what was put into remint-repo by hand, read, its key proven by a handshake with itself.

    None while there is nothing. Raises HomeError with a sentence for whoever put it there.
    """
    found = home.put_by_hand(operation)
    if found is None:
        return None
    try:
        pair = imports.read_pair(found.certificate, found.key, name=found.name)
    except ValueError as error:
        raise HomeError(f"{error} It was put into remint-repo as {found.name}.") from error
    home.prove_pair(pair.chain_pem, keys.to_der(pair.key))
    return pair


def _report_current(home: Home, slot: Slot | None) -> Slot:
    live = home.live()
    request = None
    if slot is not None and not slot["chain"]:
        request = _request(home.read_file("security/requested.der"), slot)
    state = "active" if live else "clean"
    return {
        "slot": "current",
        "operation": live.operation if live else None,
        "csr": request,
        "leaf": live.leaf_sha256 if live else None,
        "state": "requested" if request else state,
    }


def _report_future(home: Home, slots: dict[str, Slot]) -> Slot:
    reserved, staged = home.read_file("remint-repo/operation"), home.staged()
    slot, request, state = slots.get("future"), None, "clean"
    if staged is not None:
        state = "armed" if home.read_file("remint-repo/go-ahead.json") else "staged"
    elif slot is not None and reserved is not None and not slot.get("by_hand"):
        request, state = _request(home.read_file("remint-repo/key.der"), slot), "requested"
    return {
        "slot": "future",
        "operation": None if reserved is None else reserved.decode(),
        "csr": request,
        "leaf": staged.leaf_sha256 if staged else None,
        "state": state,
        "request": int((home.read_file("remint-repo/request") or b"0").decode()),
        **(_report_by_hand(home, slot) if slot is not None and slot.get("by_hand") else {}),
    }


def _report_by_hand(home: Home, slot: Slot) -> Slot:
    """What lies in remint-repo, for the server to judge: it knows the CA and the activation."""
    try:
        pair = by_hand(home, slot["operation"])
    except HomeError as error:
        return {"problem": str(error)}
    if pair is None:
        return {"problem": ""}
    if len(pair.chain_pem) > MAX_CHAIN:
        return {"problem": "The chain in remint-repo is too long. Leave out what is not needed."}
    return {"problem": "", "found": pair.chain_pem.decode("ascii")}


def _new_key(slot: Slot) -> bytes:
    return keys.to_der(keys.generate(slot["key_type"]))


def _request(key_der: bytes | None, slot: Slot) -> str | None:
    if key_der is None:
        return None
    der = csr.build(
        keys.from_der(key_der),
        subject_dns=slot["subject_dns"],
        fields=slot.get("fields") or {},
        dns_names=slot["dns_names"],
        ip_addresses=slot["ip_addresses"],
    )
    return base64.b64encode(der).decode("ascii")


def _optional(pem_text: str | None) -> bytes | None:
    return pem_text.encode("ascii") if pem_text else None
