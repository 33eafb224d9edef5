"""Enrolment: a device joins a zone whose CA it was told the fingerprint of."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from agent import VERSION, client, manifest, pem, trust
from agent.client import NoAnswer, Refused
from agent.home import SERVER_FOLDERS, Home
from agent.manifest import ManifestError, format_time, parse_time
from agent.state import IDENTITY, Identity, State

# Left in a device's home by whoever installs the agent there: servers, key, fingerprint, name.
PENDING = "enrol.json"
DEVICE_PORT = 7444  # the console's, 7443, is easily taken for it


class EnrolmentError(Exception):
    """The device did not join. The text is for the user."""


class WrongFingerprint(EnrolmentError):
    """The server's CA is not the one the user named."""


@dataclass(frozen=True)
class Application:
    """What a device says about itself when it joins."""

    server: str
    key: str
    fingerprint: str  # as the user typed it
    name: str
    kind: str
    dns_name: str
    addresses: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    finds_dns_name: bool = False  # nobody said the name, or the addresses: the host did
    finds_addresses: bool = False


def enrol(home: Home, application: Application, clock: Callable[[], datetime]) -> Identity:
    """
    Join the zone and write the device's home; return who it is now.

    Raises EnrolmentError, NoAnswer or Refused; then there is no device in the home.
    """
    if home.read_file(IDENTITY) is not None:
        raise EnrolmentError(
            f"There is an enrolled device in {home.path} already: run it, or name another folder "
            "with --home."
        )
    anchor = _told_anchor(application)
    context = client.trusting(anchor)
    answer = client.call(
        application.server,
        "/device/enrol",
        context=context,
        body=lambda peer: _body(application, clock()),
    )
    try:
        identity, state, anchors = understand(application, answer.body)
    except (KeyError, TypeError, ValueError, ManifestError) as error:
        raise EnrolmentError(f"{application.server} sent no usable answer. {error}") from error
    client.probe(state.servers, pem.join(anchors))
    home.make(folders=SERVER_FOLDERS if application.roles else ())
    home.write_file(trust.FILE, pem.join(anchors))
    state.save(home)
    identity.save(home)  # last: with it the home is a device's
    return identity


def pending(home: Home) -> dict[str, Any] | None:
    """
    Return what an installer left in PENDING for the device to enrol with, None if nothing.

    Raises EnrolmentError if the file is not usable.
    """
    data = home.read_file(PENDING)
    if data is None or home.read_file(IDENTITY) is not None:
        return None
    try:
        facts: dict[str, Any] = json.loads(data)
        facts["servers"][0], facts["key"], facts["fingerprint"], facts["name"]
    except (ValueError, LookupError, TypeError) as error:
        raise EnrolmentError(f"{home.path / PENDING} is not usable.") from error
    return facts


def enrol_pending(home: Home, facts: dict[str, Any], clock: Callable[[], datetime]) -> Identity:
    """Join with the first of the servers named in PENDING that answers, then remove the file."""
    problem: NoAnswer | None = None
    for server in facts["servers"]:
        application = Application(
            server=str(server).rstrip("/"),
            key=facts["key"],
            fingerprint=facts["fingerprint"],
            name=facts["name"],
            kind=facts.get("kind", "workstation"),
            dns_name=facts.get("dns_name") or facts["name"],
            addresses=[facts["address"]] if facts.get("address") else ["127.0.0.1"],
            roles=facts.get("roles", []),
        )
        try:
            identity = enrol(home, application, clock)
        except NoAnswer as error:
            problem = error
            continue
        home.remove_file(PENDING)
        return identity
    raise problem or EnrolmentError("No server is named to enrol with.")


def normal_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint in lower case hex. Raises EnrolmentError if it is not one."""
    plain = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch("[0-9a-f]{64}", plain):
        raise EnrolmentError("The fingerprint must be a SHA-256: 64 hex digits, colons allowed.")
    return plain


def _told_anchor(application: Application) -> bytes:
    """Return the CA that has the fingerprint, fetched again over TLS verified by it."""
    expected = normal_fingerprint(application.fingerprint)
    anchor = _fetch_anchor(application.server, client.trusting_anyone(), expected)
    return _fetch_anchor(application.server, client.trusting(anchor), expected)


def _fetch_anchor(server: str, context: ssl.SSLContext, expected: str) -> bytes:
    try:
        body = client.call(server, "/device/anchors", context=context).body
    except Refused as error:
        parts = urlsplit(server)
        if error.status != 404 or parts.port == DEVICE_PORT:
            raise
        host = parts.netloc.removesuffix(f":{parts.port}")
        sentence = (
            f"{server} is not for devices: their port is {DEVICE_PORT} on every server. "
            f"Enrol with --server https://{host}:{DEVICE_PORT}."
        )
        raise Refused(sentence, error.status, None) from error
    try:
        anchors = pem.split("".join(body["anchors"]).encode("ascii"))
    except (KeyError, TypeError, ValueError) as error:
        raise EnrolmentError(f"{server} is not a server of a zone.") from error
    shown = [pem.fingerprint(anchor) for anchor in anchors]
    if expected not in shown:
        raise WrongFingerprint(
            f"{server} shows a CA with the fingerprint {' and '.join(shown) or '(none)'},"
            f" not {expected}. Nothing was sent to it."
        )
    return anchors[shown.index(expected)]


def _body(application: Application, now: datetime) -> dict[str, Any]:
    return {
        "key": application.key,
        "name": application.name,
        "kind": application.kind,
        "dns_name": application.dns_name,
        "addresses": application.addresses,
        "roles": application.roles,
        "version": VERSION,
        "clock": format_time(now),
    }


def understand(
    application: Application, body: dict[str, Any]
) -> tuple[Identity, State, tuple[bytes, ...]]:
    """
    Return who the device is, what it remembers, and whom it trusts, by the answer to its joining.

    Raises KeyError, TypeError, ValueError or ManifestError for one that is not usable.
    """
    key = base64.b64decode(body["update_key"], validate=True)
    current = manifest.read(body["manifest"].encode(), key)
    manifest.check(current, zone=body["zone"], epoch=0, now=parse_time(body["time"]))
    identity = Identity(
        device=body["device"],
        token=body["token"],
        update_key=body["update_key"],
        zone=body["zone"],
        name=application.name,
        dns_name=application.dns_name,
        addresses=application.addresses,
        roles=application.roles,
        finds_dns_name=application.finds_dns_name,
        finds_addresses=application.finds_addresses,
    )
    state = State(
        servers=[str(url) for url in body["servers"]] or [application.server],
        epoch=current.epoch,
        manifest=body["manifest"],
        interval=float(body["next_refresh"]),
    )
    return identity, state, current.anchors
