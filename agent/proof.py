"""
The proof that this device will verify the zone's servers after the switch, and the rescue port.

A canary shows a server's future certificate without any link. It is verified by the new CA alone,
so that neither the trust of today nor a bridge can make up for a new CA that is not really there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from agent import client, pem, trust
from agent.client import NoAgreement, NoAnswer
from agent.faults import fault_point
from agent.manifest import Update

RESCUE_PORT = 7446
CLOCK_IS_WRONG = 300.0  # seconds

Proof = dict[str, Any]


def wish(asked: Any) -> dict[str, Any] | None:
    """Return what the server wants proven, None for nothing. Raises for what is not a wish."""
    if not asked:
        return None
    canaries = [str(url) for url in asked["canaries"]]
    return {
        "update": str(asked["update"]),
        "new_anchor": str(asked["new_anchor"]),
        "canaries": canaries,
    }


def anchor_to_prove(asked: dict[str, Any] | None, update: Update | None) -> str | None:
    """Return the anchor to be proven if the wish belongs to the update of the manifest."""
    if asked is None or update is None or asked["update"] != update.id:
        return None
    anchor: str = asked["new_anchor"]
    return anchor


def attempt(asked: dict[str, Any], anchors: Sequence[bytes], *, offset: float, at: str) -> Proof:
    """
    Connect to a canary, trusting the new anchor alone; return how that ended.

    `anchors` are those that this device has on its disk, because a proof by any other is none.
    `offset` is the number of seconds by which the server's clock is ahead of ours.
    """
    ended = {"update": asked["update"], "at": at}
    try:
        anchor = trust.only(anchors, asked["new_anchor"])
        fault_point("canary-probe")
        answer = client.probe(asked["canaries"], anchor)
        _refuse_bridge(answer, [other for other in anchors if other != anchor])
    except (NoAnswer, OSError, ValueError) as error:
        problem = f"The proof for the new CA failed: {_reason(error, offset)}"
        refused = isinstance(error, NoAgreement)
        return {**ended, "problem": problem, "refused": refused}
    return {**ended, "leaf": answer.peer, "server": answer.server}


def _refuse_bridge(answer: client.Answer, others: Sequence[bytes]) -> None:
    """A certificate of the old CA verifies by the new one, too, if a bridge comes with it."""
    if answer.issuer in [pem.subject(other) for other in others]:
        raise NoAnswer(f"{answer.server} shows a certificate of the old CA.")


def says_the_same(one: Proof | None, other: Proof | None) -> bool:
    """Return whether two proofs differ in their time at most."""
    return one is not None and other is not None and {**one, "at": ""} == {**other, "at": ""}


def rescue_manifest(server: str, anchors: bytes) -> str:
    """
    Return the envelope that the rescue port of `server` offers; it proves nothing yet.

    Dates do not count: the old CA may have expired, or this clock be wrong, and the envelope proves
    itself by its signature. Raises NoAnswer.
    """
    host = urlsplit(server).hostname or ""
    place = f"https://[{host}]:{RESCUE_PORT}" if ":" in host else f"https://{host}:{RESCUE_PORT}"
    try:
        answer = client.call(place, "/trust-manifest", context=client.trusting_at_any_time(anchors))
    except client.Refused as error:
        raise NoAnswer(f"{place} has no trust manifest. {error}") from error
    return json.dumps(answer.body)


def _reason(error: Exception, offset: float) -> str:
    if abs(offset) <= CLOCK_IS_WRONG:
        return str(error)
    minutes = round(abs(offset) / 60)
    said = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return (
        f"the clock of this device is {said} {'slow' if offset > 0 else 'fast'}. Set its time; it "
        f"tries again by itself at the next refresh. ({error})"
    )


def is_shown(new_anchor: str, anchors: Sequence[bytes], servers: Sequence[str]) -> bool:
    """Return whether any server verifies by the new CA alone, and not by way of the bridge."""
    try:
        anchor = trust.only(anchors, new_anchor)
    except ValueError:
        return False
    others = [pem.subject(other) for other in anchors if other != anchor]
    return any(_issuer_shown(server, anchor) not in [None, *others] for server in servers)


def _issuer_shown(server: str, anchor: bytes) -> client.Name | None:
    try:
        return client.probe([server], anchor).issuer
    except NoAnswer:
        return None
