"""
Does an evidence pack fit together? What an auditor asks, answered without the product.

The signature says that the zone wrote it. `check` says that it is not at odds with itself: every
certificate is there, every proof is of one of them, the counts are those of the lists, and whoever
might have been lost when the operation was armed was proven, carried, ignored or signed off.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from agent import evidence_pack, manifest, pem
from agent.evidence_pack import FORMAT, EvidenceError, Pack
from agent.manifest import ManifestError, parse_time

SHOWN = 10
_AWAY = {"ignored", "withdrawn"}  # states of a device that is in no count


@dataclass
class Findings:
    """What was found in a pack that fits together."""

    operation: dict[str, Any]
    zone: dict[str, Any]
    counts: dict[str, Any]
    made_at: str
    authorities: list[dict[str, Any]]
    links: list[dict[str, Any]]
    servers: list[dict[str, Any]]
    issued: list[str]
    sign_offs: list[dict[str, Any]]
    events: list[dict[str, Any]]
    states: Counter[str] = field(default_factory=Counter)
    proven: int = 0
    ignored: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @property
    def devices(self) -> int:
        """Return how many devices had the update."""
        return sum(self.states.values())

    def armed_at(self) -> datetime | None:
        """Return when the operation was armed, None if it was not."""
        armed = [event for event in self.events if event["state"] == "armed"]
        return parse_time(armed[0]["at"]) if armed else None


def check(pack: Pack, key: bytes, *, zone: str | None = None) -> Findings:
    """
    Return what the pack says. `zone` is the one that it has to be of, if that is known.

    Raises EvidenceError with a sentence for whatever does not fit.
    """
    try:
        found = _read(pack)
        if zone is not None and found.zone["guid"] != zone:
            raise EvidenceError("It is of another zone than this device.")
        _check_certificates(pack, found)
        _check_events(found)
        _check_devices(pack, found)
        _check_trust(pack, found, key)
        _check_keys(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceError("It is signed, but not written as an evidence pack is.") from error
    return found


def _read(pack: Pack) -> Findings:
    head = pack.object(evidence_pack.OPERATION)
    if head["format"] != FORMAT:
        raise EvidenceError(f"Its format is {head['format']}. This program reads {FORMAT}.")
    authorities = pack.object(evidence_pack.AUTHORITIES)
    servers = pack.object(evidence_pack.SERVERS)
    return Findings(
        operation=head["operation"],
        zone=head["zone"],
        counts=head["counts"],
        made_at=head["made_at"],
        authorities=authorities["authorities"],
        links=authorities["links"],
        servers=servers["servers"],
        issued=servers["issued"],
        sign_offs=pack.object(evidence_pack.SIGN_OFFS)["sign_offs"],
        events=list(pack.rows(evidence_pack.EVENTS)),
        ignored=list(pack.rows(evidence_pack.IGNORED)),
    )


def _check_certificates(pack: Pack, found: Findings) -> None:
    for sha256, name in pack.certificates.items():
        if pem.fingerprint(pack.read(name)) != sha256:
            raise EvidenceError(f"{name} is another certificate than its name says.")
    told = {row["sha256"] for row in [*found.authorities, *found.links]}
    told |= leaves(found)
    if missing := sorted(told - set(pack.certificates)):
        raise EvidenceError(f"The certificate {missing[0]} is told of and not in the pack.")
    if more := sorted(set(pack.certificates) - told):
        raise EvidenceError(f"The certificate {more[0]} is in the pack and belongs to nothing.")


def leaves(found: Findings) -> set[str]:
    """Return the fingerprints of all certificates that the operation gave its servers."""
    shown = {row["sha256"] for server in found.servers for row in server["certificates"]}
    return shown | set(found.issued)


def _check_events(found: Findings) -> None:
    times = [parse_time(event["at"]) for event in found.events]
    if times != sorted(times):
        raise EvidenceError("The history is not in the order of time.")
    own = [event for event in found.events if event["of"] == "operation"]
    last = max(own, key=itemgetter("id"), default=None)  # a clock may have been put back
    if last is None or last["state"] != found.operation["state"]:
        raise EvidenceError("The history does not end in the state that the operation is in.")
    _count(found, "events", len(found.events))
    _count(found, "servers", len(found.servers))
    _count(found, "sign_offs", len(found.sign_offs))
    _count(found, "ignored", len(found.ignored))


def _count(found: Findings, name: str, number: object) -> None:
    if found.counts[name] != number:
        raise EvidenceError(
            f"The count of {name.replace('_', '-')} is {found.counts[name]}, "
            f"and the list has {number}."
        )


def _check_devices(pack: Pack, found: Findings) -> None:
    shown, uncovered = leaves(found), []
    seen: set[int] = set()
    judge = _Judge(found)
    for device in pack.rows(evidence_pack.DEVICES):
        seen.add(device["id"])
        found.states[device["state"]] += 1
        leaf = device["proof"]["leaf"]
        if leaf and leaf not in shown:
            raise EvidenceError(
                f"The proof of {plain(device['name'])} is of a certificate that is no server's."
            )
        found.proven += bool(leaf)
        if judge.might_be_lost(device):
            uncovered.append(plain(device["name"]))
    if len(seen) != found.devices:
        raise EvidenceError("A device is listed twice.")
    _count(found, "states", dict(found.states))
    _count(found, "proven", found.proven)
    if uncovered:
        raise EvidenceError(
            f"When it was armed {_number(len(uncovered), 'device')} had no proof, nothing carried "
            f"them, and nobody had signed them off: {_listed(uncovered)}."
        )


class _Judge:
    """Says of a device whether it might have been lost, and no sign-off names it."""

    def __init__(self, found: Findings) -> None:
        self.armed_at = found.armed_at()
        self.signed = _signed_off(found.sign_offs, at=self.armed_at)
        self.ignored = {
            row["device"]
            for row in found.ignored
            if self.armed_at is not None and parse_time(row["at"]) <= self.armed_at
        }
        # In Strict only the proof counts.
        self.carriers = set() if found.operation["policy"] == "strict" else _carriers(found)

    def might_be_lost(self, device: dict[str, Any]) -> bool:
        """Return whether the device was in danger when the operation was armed, unsigned."""
        if self.armed_at is None or self._is_left_out(device, self.armed_at):
            return False
        is_safe = device["proof"]["leaf"] or self.carriers & set(device["trusts"])
        return not is_safe and device["id"] not in self.signed

    def _is_left_out(self, device: dict[str, Any], armed_at: datetime) -> bool:
        if device["kind"] == "primary" or device["state"] in _AWAY or device["id"] in self.ignored:
            return True
        retired = device["retired_at"]
        was_retired = retired is not None and parse_time(retired) <= armed_at
        return was_retired or parse_time(device["enrolled_at"]) > armed_at


def _carriers(found: Findings) -> set[str]:
    """Return the CAs of which a device needs to trust one: the old, a link's; the new when over."""
    role = {row["role"]: row["sha256"] for row in found.authorities}
    by = {row["by"] for row in found.links if row["certified"] == role.get("new")}
    return by | {role[name] for name in ("old", "new") if name in role}


def _signed_off(sign_offs: list[dict[str, Any]], *, at: datetime | None) -> set[int]:
    """Return the ids of the devices on the lists that stood at that time."""
    if at is None:
        return set()
    standing = [
        row
        for row in sign_offs
        if parse_time(row["at"]) <= at
        and (row["voided_at"] is None or parse_time(row["voided_at"]) > at)
    ]
    return {pk for row in standing for pk, _ in row["devices"]}


def _check_trust(pack: Pack, found: Findings, key: bytes) -> None:
    for row in pack.rows(evidence_pack.TRUST):
        envelope = row["envelope"].encode()
        if hashlib.sha256(envelope).hexdigest() != row["sha256"]:
            raise EvidenceError(f"The trust manifest of epoch {row['epoch']} has another digest.")
        try:
            published = manifest.read(envelope, key)
        except ManifestError as error:
            raise EvidenceError(f"The trust manifest of epoch {row['epoch']}: {error}") from error
        if (published.zone, published.epoch) != (found.zone["guid"], row["epoch"]):
            raise EvidenceError(f"The trust manifest of epoch {row['epoch']} is another one.")
        found.epochs.append(published.epoch)
    if found.epochs != sorted(set(found.epochs)):
        raise EvidenceError("The epochs of the trust manifests do not rise.")
    _count(found, "manifests", len(found.epochs))


def _check_keys(found: Findings) -> None:
    for row in found.authorities:
        retired, destroyed = row["retired_at"], row["key_destroyed_at"]
        if destroyed and retired and parse_time(destroyed) < parse_time(retired):
            raise EvidenceError(f"The key of {plain(row['name'])} ended before it was retired.")


# What a person reads


def summary(found: Findings) -> list[str]:
    """Return the lines that tell a person what the pack says."""
    operation = found.operation
    lines = [
        f"Zone       {plain(found.zone['name'])}, {found.zone['guid']}",
        f"Operation  {operation['kind_name']} {operation['guid']}",
        f"           {operation['state_name']}; {operation['policy_name']}",
        f"Asked for  {operation['created_at']} by {_person(operation['created_by'])}",
        f"Activated  {operation['activated_at'] or 'not yet'}",
        *(_authority(row) for row in found.authorities),
        f"Servers    {_servers(found)}",
        f"Devices    {_devices(found)}",
        *(_sign_off(row) for row in found.sign_offs),
        f"Manifests  epochs {found.epochs[0]} to {found.epochs[-1]}, each signed"
        if found.epochs
        else "Manifests  none",
        "Decisions",
        *(_event(event) for event in found.events if event["by"] is not None),
    ]
    return [*lines, f"Made       {found.made_at}"]


def _authority(row: dict[str, Any]) -> str:
    name = f"{row['role'].capitalize()} CA".ljust(10)
    ends = [f"retired {row['retired_at']}"] if row["retired_at"] else []
    ends += [f"key destroyed {row['key_destroyed_at']}"] if row["key_destroyed_at"] else []
    return "; ".join([f"{name} {plain(row['name'])}, SHA-256 {row['sha256']}", *ends])


def _servers(found: Findings) -> str:
    switched = sum(server["activated_at"] is not None for server in found.servers)
    return f"{len(found.servers)}, {switched} switched"


def _devices(found: Findings) -> str:
    states = [f"{number} {state}" for state, number in sorted(found.states.items())]
    said = f"{found.devices}, {found.proven} proven by a TLS connection"
    return f"{said} ({', '.join(states)})" if states else said


def _sign_off(row: dict[str, Any]) -> str:
    names = [plain(name) for _, name in row["devices"]]
    void = f", void since {row['voided_at']}" if row["voided_at"] else ""
    return (
        f"Signed off {row['at']} by {_person(row['by'])}{void}: {_listed(names)}. "
        f"Reason: {plain(row['reason'])}"
    )


def _event(event: dict[str, Any]) -> str:
    what = event["state_name"] if event["of"] == "operation" else f"update: {event['state_name']}"
    note = f". {plain(event['note'])}" if event["note"] else ""
    return f"  {event['at']}  {what}, by {_person(event['by'])}{note}"


def _person(person: dict[str, Any]) -> str:
    name, user = plain(person["name"]), plain(person["user"])
    return name if name == user else f"{name} ({user})"


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(text: str) -> str:
    """Return the text without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))
