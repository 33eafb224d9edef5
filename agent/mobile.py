"""
A mobile device, simulated: it enrols by a link, and calls with an identity instead of a token.

Like any device it refreshes and takes the trust manifest. Two things are its own: it takes the new
CA without downloading anything, and it completes an update only with an identity of the new CA,
which it asks for when a server tells it to (EST, RFC 7030).
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent import client, enrol, identity, pem, trust
from agent.applying import Log
from agent.client import NoAnswer, Untrusted
from agent.device import Device
from agent.enrol import Application, EnrolmentError, WrongFingerprint
from agent.home import Home
from agent.manifest import ManifestError, Update
from agent.state import IDENTITY, Identity, Progress

# Left in a mobile's folder by whoever prepares it: its link, and when it is to be away.
PENDING = "mobile.json"
EST = "/.well-known/est"
_LINK = re.compile(rf"(https://[^/#\s]+){re.escape(EST)}#([\w-]+)((?:\.[0-9a-f]{{64}})+)")


@dataclass(frozen=True)
class Link:
    """What an enrolment link says: where to go, the secret, whom to trust."""

    server: str
    secret: str
    fingerprints: list[str]

    @classmethod
    def read(cls, text: str) -> Link:
        """Return the parts of a link. Raises EnrolmentError."""
        found = _LINK.fullmatch(text.strip())
        if found is None:
            raise EnrolmentError("This is not an enrolment link. Copy the whole of it.")
        return cls(found[1], found[2], found[3].strip(".").split("."))


def enrol_by(home: Home, link: Link, clock: Callable[[], datetime]) -> Identity:
    """
    Get an identity by a link and write the mobile's folder; return who it is now.

    Raises EnrolmentError, Refused, or NoAnswer, also while the identity is being issued: it is to
    be tried again then.
    """
    if home.read_file(IDENTITY) is not None:
        raise EnrolmentError(
            f"There is an enrolled device in {home.path} already: run it, or name another folder "
            "with --home."
        )
    anchors = _told_anchors(link)
    context = client.trusting(pem.join(anchors))
    home.make(folders=())
    if not identity.is_here(home):
        login = base64.b64encode(f":{link.secret}".encode()).decode()
        _obtain(home, link.server, "simpleenroll", context, {"Authorization": f"Basic {login}"})
    context.load_cert_chain(home.path / identity.FILE)
    body = client.call(link.server, "/device/welcome", context=context).body
    application = Application(
        server=link.server,
        key="",
        fingerprint=link.fingerprints[0],
        name=identity.name(home),
        kind="mobile",
        dns_name="",
    )
    try:
        who, state, wanted = enrol.understand(application, body)
    except (KeyError, TypeError, ValueError, ManifestError) as error:
        raise EnrolmentError(f"{link.server} sent no usable answer. {error}") from error
    client.probe(state.servers, pem.join(wanted))
    home.write_file(trust.FILE, pem.join(wanted))
    state.save(home)
    who.save(home)  # last: with it the folder is a mobile's
    return who


def _told_anchors(link: Link) -> list[bytes]:
    """Return the CAs that the link names, fetched again over TLS verified by them."""
    first = _fetch_anchors(link, client.trusting_anyone())
    return _fetch_anchors(link, client.trusting(pem.join(first)))


def _fetch_anchors(link: Link, context: ssl.SSLContext) -> list[bytes]:
    answer = client.exchange(link.server, f"{EST}/cacerts", context=context)
    try:
        shown = identity.roots(answer.body)
    except ValueError as error:
        raise EnrolmentError(f"{link.server} is not a server of a zone.") from error
    told = [anchor for anchor in shown if pem.fingerprint(anchor) in link.fingerprints]
    if not told:
        raise WrongFingerprint(f"{link.server} shows no CA that the link names. Nothing was sent.")
    return told


def _obtain(
    home: Home, server: str, what: str, context: ssl.SSLContext, headers: dict[str, str]
) -> None:
    """Ask for an identity and keep it. Raises Refused, or NoAnswer if it is not there yet."""
    answer = client.exchange(
        server,
        f"{EST}/{what}",
        context=context,
        body=identity.request(home),
        headers={"Content-Type": "application/pkcs10", **headers},
    )
    if answer.status == 202:
        raise NoAnswer(f"{server} is issuing the identity.")
    identity.keep(home, answer.body)


@dataclass
class Absence:
    """When a simulated mobile is away: once, for so long, from a stage of its update on."""

    stage: str  # assigned or pending
    seconds: float
    until: datetime | None = None
    is_over: bool = False

    def begin(self, now: datetime) -> None:
        """Be away from now on."""
        self.until = now + timedelta(seconds=self.seconds)

    def is_on(self, now: datetime) -> bool:
        """Return whether the mobile is away; it comes back once and for all."""
        if self.until is not None and now >= self.until:
            self.until, self.is_over = None, True
        return self.until is not None


def pending(home: Home) -> tuple[Link | None, Absence | None]:
    """Return what PENDING says: the link, if it is still to be used, and when it is to be away."""
    data = home.read_file(PENDING)
    facts: dict[str, Any] = json.loads(data) if data else {}
    away = facts.get("away")
    is_new = facts.get("link") is not None and home.read_file(IDENTITY) is None
    link = Link.read(facts["link"]) if is_new else None
    return link, Absence(str(away["stage"]), float(away["seconds"])) if away else None


class Mobile(Device):
    """The mobile enrolled in `home`. Raises NotEnrolled."""

    def __init__(
        self, home: Home, *, log: Log, wake: Callable[[], None], absence: Absence | None = None
    ) -> None:
        super().__init__(home, log=log, wake=wake)
        self.absence = absence
        self._is_to_renew = False

    def context(self, anchors: bytes) -> ssl.SSLContext:
        """Return the context of its calls: they show its identity."""
        context = super().context(anchors)
        context.load_cert_chain(self.home.path / identity.FILE)
        return context

    def _refresh(self, clock: Callable[[], datetime]) -> float:
        if self.absence is not None and self.absence.is_on(clock()):
            raise NoAnswer("This mobile is away.")
        interval = super()._refresh(clock)
        if self._is_to_renew:
            self._renew()
        self._leave_at("pending", clock())
        return interval

    def _keep_all(self, answer: dict[str, Any], now: datetime) -> None:
        super()._keep_all(answer, now)
        told = answer.get("identity")
        self._is_to_renew = isinstance(told, dict) and told.get("renew") is True

    def _renew(self) -> None:
        """Get the next identity, by the one it has."""
        context = self.context(trust.current(self.home))
        _obtain(self.home, self.state.servers[0], "simplereenroll", context, {})
        self._is_to_renew = False
        self.log("Has a new identity.")

    def _start(self, update: Update, now: datetime) -> bool:
        """Take the new CA: a mobile has nothing to download."""
        if self._leave_at("assigned", now):
            return False
        attempt = (self.state.order or {})["attempt"]
        taken = Progress(update.id, attempt, "pending", update.new_anchor)
        try:
            self._set_trust()
        except Untrusted as error:
            reason = f"With the new trust no server is reached. {error}"
            return self._advance(replace(taken, state="failed"), now, reason=reason)
        return self._advance(taken, now)

    def _complete(self, update: Update, now: datetime) -> bool:
        """Complete with an identity of the new CA, or when there is none to be had."""
        if not update.activated or self._is_to_renew:
            return False
        return super()._complete(update, now)

    def _leave_at(self, stage: str, now: datetime) -> bool:
        """Be away from this stage on, if it is to be; return whether it is."""
        absence = self.absence
        if absence is None or absence.is_over or absence.stage != stage:
            return False
        progress = self.state.progress
        if stage == "pending" and (progress is None or progress.state != "pending"):
            return False
        if self.state.steps:  # it says first how far it has come
            return False
        absence.begin(now)
        self.log(f"Away for {absence.seconds:.0f} s.")
        return True
