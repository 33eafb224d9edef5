"""
One device: refreshes, and does the steps that `plan` names. It has no clock: see `loop`.

Times that come in are this device's; `server_time` makes the server's of them, by which
activation counts.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agent import (
    VERSION,
    client,
    hooks,
    manifest,
    pages,
    pem,
    proof,
    replication,
    system_trust,
    trust,
)
from agent.client import Name, NoAnswer, Untrusted
from agent.content import ContentError
from agent.home import Home
from agent.manifest import Manifest, ManifestError, Update, format_time, parse_time
from agent.plan import Situation, Step
from agent.replication import Replica
from agent.state import Identity, Progress, State

try:
    from agent import satellite
except ImportError:  # not in the zipapp, and it needs a package that plain devices do not have
    satellite = None  # type: ignore[assignment]

Log = Callable[[str], None]


class Device:
    """The device enrolled in `home`. Raises NotEnrolled."""

    def __init__(self, home: Home, *, log: Log, wake: Callable[[], None]) -> None:
        self.home = home
        self.log = log
        self.identity = Identity.load(home)
        self.state = State.load(home)
        self.manifest = self.state.read_manifest(self.identity.key())
        self.replica = (
            Replica(home, log=log, wake=wake) if "content" in self.identity.roles else None
        )
        self._reported: list[dict[str, Any]] = []  # certificates, as the server knows them

    def server_time(self, at: datetime) -> datetime:
        """Return what the server's clock shows when ours shows `at`."""
        return at + timedelta(seconds=self.state.offset)

    def refresh(self, clock: Callable[[], datetime]) -> float:
        """
        Say what this device is and has, and take in what it is to do.

        Return the seconds between two refreshes that the server asks for. A device that trusts no
        server any more asks the rescue ports for its new trust, and tries again.

        Raises NoAnswer or Refused; what is to be reported then is sent with the next refresh.
        """
        try:
            return self._refresh(clock)
        except Untrusted:
            if not self._rescued(clock()):
                raise
        return self._refresh(clock)

    def _refresh(self, clock: Callable[[], datetime]) -> float:
        anchors = trust.current(self.home)
        sent = len(self.state.steps)
        answer = self._ask(self._request(clock(), anchors), anchors)
        try:
            self._take_in(answer.body, clock())
        except (KeyError, TypeError, ValueError) as error:
            raise NoAnswer(f"{answer.server} sent an answer that is not understood.") from error
        del self.state.steps[:sent]
        self.state.proof_is_news = False
        self._prefer(answer.server)
        self.state.save(self.home)
        return self.state.interval

    def _rescued(self, now: datetime) -> bool:
        """Ask the rescue ports for the trust manifest; return whether another CA is trusted now."""
        before = trust.current(self.home)
        for server in self.state.servers:
            try:
                offered = proof.rescue_manifest(server, before)
                self._accept(offered, self.server_time(now))
                self._set_trust()
            except NoAnswer as error:
                self.log(f"No rescue. {error}")
            if trust.current(self.home) != before:
                self.state.save(self.home)
                self.log(f"Rescued: the trust manifest came from the rescue port of {server}.")
                return True
        return False

    def situation(self) -> Situation:
        """Return what `plan` needs to know, as it is on the disk now."""
        trusted = trust.fingerprints(trust.current(self.home))
        order = self.state.order
        known = Situation(
            update=self.manifest.update,
            order=None if order is None else (order["id"], order["attempt"]),
            progress=self.state.progress,
            trusted=frozenset(trusted),
            wanted=frozenset(self.manifest.fingerprints()),
            to_prove=proof.anchor_to_prove(self.state.prove, self.manifest.update),
        )
        return replace(known, **self._certificates_held()) if self.is_authentication() else known

    def has_news(self) -> bool:
        """Return whether there is something to report that a server does not know yet."""
        if self.state.steps or self.state.proof_is_news:
            return True
        if self.replica is not None and self.replica.has_news():
            return True
        if not self.is_authentication() or satellite is None:
            return False
        return satellite.differ(
            satellite.report(self.home, self.state.certificates), self._reported
        )

    def is_authentication(self) -> bool:
        """Return whether this device terminates TLS with a certificate of its own."""
        return "authentication" in self.identity.roles

    def act(self, step: Step, *, now: datetime) -> bool:
        """
        Do `step`; return whether it changed anything. `now` is the server's.

        Raises NoAnswer if it needs a server and none answers; it is due again then.
        """
        actions: dict[Step, Callable[[Update, datetime], bool]] = {
            Step.ARM: self._arm,
            Step.ACTIVATE: self._activate,
            Step.START: self._start,
            Step.DOWNLOAD: self._download,
            Step.APPLY: self._apply,
            Step.PROVE: self._prove,
            Step.COMPLETE: self._complete,
        }
        update = self.manifest.update
        if update is None or step not in actions:
            return self._tidy(step, now)
        return actions[step](update, now)

    def context(self, anchors: bytes) -> ssl.SSLContext:
        """Return the context of the calls to the zone's servers, who are verified by `anchors`."""
        return client.trusting(anchors)

    def _request(self, now: datetime, anchors: bytes) -> dict[str, Any]:
        request: dict[str, Any] = {
            "version": VERSION,
            "dns_name": self.identity.dns_name,
            "addresses": self.identity.addresses,
            "clock": format_time(now),
            "trust": trust.fingerprints(anchors),
            "epoch": self.state.epoch,
            "steps": self.state.steps,
            "proof": self.state.proof,
        }
        if self.replica is not None:
            request["content"] = self.replica.report()
        if self.is_authentication() and satellite is not None:
            self._reported = satellite.report(self.home, self.state.certificates)
            request["certificates"] = self._reported
        return request

    def _ask(self, request: dict[str, Any], anchors: bytes) -> client.Answer:
        """Post the request, completed by the leaf that the server shows in this connection."""
        context = self.context(anchors)
        return client.call_any(
            self.state.servers,
            lambda server: client.call(
                server,
                "/device/refresh",
                context=context,
                token=self.identity.token,
                body=lambda peer: {**request, "peer": peer},
            ),
        )

    def _take_in(self, answer: dict[str, Any], now: datetime) -> None:
        """Keep what a server answered. Raises for an answer that is not one."""
        server_time = parse_time(answer["time"])
        interval, servers = float(answer["next_refresh"]), [str(url) for url in answer["servers"]]
        order = answer.get("update")
        if order is not None:
            order = {name: order[name] for name in ("id", "attempt", "sha256", "size", "sources")}
        # Measured after the answer came, so too small rather than too large: never early.
        self.state.offset = math.floor((server_time - now).total_seconds() * 10) / 10
        self.state.interval = max(interval, 1.0)
        self.state.servers = servers or self.state.servers
        self.state.order = order
        self.state.prove = proof.wish(answer.get("prove"))
        if answer.get("manifest"):
            self._accept(str(answer["manifest"]), server_time)
        if self.replica is not None and "content" in answer:
            self.replica.follow(answer["content"])
        if self.is_authentication() and satellite is not None and "certificates" in answer:
            self.state.certificates = answer["certificates"]
            satellite.follow(self.home, self.state.certificates, log=self.log)

    def _accept(self, envelope: str, now: datetime) -> None:
        """Keep a manifest that is newer than ours; refuse any other and keep on with ours."""
        try:
            offered = manifest.read(envelope.encode(), self.identity.key())
            manifest.check(offered, zone=self.identity.zone, epoch=self.state.epoch, now=now)
        except ManifestError as error:
            self.log(f"Refused a trust manifest. {error}")
            return
        if offered.epoch > self.state.epoch:
            self.manifest, self.state.epoch = offered, offered.epoch
            self.state.manifest = envelope
            if self.is_authentication():  # it has a rescue port
                self.home.write_file(pages.MANIFEST, envelope.encode())
            self.log(f"Trust manifest of epoch {offered.epoch}: {_summary(offered)}.")

    def _prefer(self, server: str) -> None:
        """Ask the server that answered first the next time, too."""
        others = [url for url in self.state.servers if url != server]
        self.state.servers = [server, *others] if server in self.state.servers else others

    def _certificates_held(self) -> dict[str, Any]:
        reserved = self.home.read_file("remint-repo/operation")
        previous = self.home.read_file("previous/ca.cert")
        return {
            "reserved": None if reserved is None else reserved.decode(),
            "expected": self._expected_operation(),
            "staged": self.home.staged() is not None,
            "armed": self.home.read_file("remint-repo/go-ahead.json") is not None,
            "old_anchor": None if previous is None else pem.fingerprint(previous),
        }

    def _expected_operation(self) -> str | None:
        """Return the operation for which the server said last that it wants a certificate."""
        wanted = [slot for slot in self.state.certificates or [] if slot["slot"] == "future"]
        return str(wanted[0]["operation"]) if wanted else None

    def _arm(self, update: Update, now: datetime) -> bool:
        self.home.arm(update.operation, self.state.manifest.encode())
        self.log(f"Armed: switches at {format_time(update.activate_at)}.")
        return True

    def _activate(self, update: Update, now: datetime) -> bool:
        if self.home.activate(update.operation):
            self.log("The new server certificate is in use.")
            hooks.run(self.home.path, "certificate", self.log)
        return True

    def _start(self, update: Update, now: datetime) -> bool:
        attempt = (self.state.order or {})["attempt"]
        return self._advance(Progress(update.id, attempt, "download", update.new_anchor), now)

    def _download(self, update: Update, now: datetime) -> bool:
        sources = (self.state.order or {}).get("sources", [])
        try:
            replication.fetch(self.home, update.sha256, update.size, sources)
            replication.check_package(self.home, update, self.manifest.fingerprints())
        except ContentError as error:
            return self._fail(str(error), now)
        finally:
            if self.replica is None:
                self.home.drop_content(update.sha256)
        return self._advance(self._at("update"), now)

    def _apply(self, update: Update, now: datetime) -> bool:
        try:
            self._set_trust()
        except Untrusted as error:
            return self._fail(f"With the new trust no server is reached. {error}", now)
        return self._advance(self._at("pending"), now)

    def _prove(self, update: Update, now: datetime) -> bool:
        """Try a canary as a server asked; tell at once if it ended otherwise than the last time."""
        before, wish = self.state.proof, self.state.prove or {}
        self.state.prove = None
        anchors = pem.split(trust.current(self.home))
        ended = proof.attempt(wish, anchors, offset=self.state.offset, at=format_time(now))
        self.state.proof = ended
        self.state.proof_is_news = not proof.says_the_same(ended, before)
        self.state.save(self.home)
        self.log(ended.get("problem") or f"Proven: {ended['server']} verifies by the new CA alone.")
        return True

    def _complete(self, update: Update, now: datetime) -> bool:
        """Complete if a server shows a certificate of the new CA; that it should is not enough."""
        if not self._reaches_new_ca(update):
            return False
        return self._advance(self._at("completed"), now)

    def _reaches_new_ca(self, update: Update) -> bool:
        """Whether any server is verified by the new CA alone, and not by way of the bridge."""
        try:
            anchor = trust.only(self.manifest.anchors, update.new_anchor)
        except ValueError:
            return False
        others = [pem.subject(other) for other in self.manifest.anchors if other != anchor]
        return any(self._shows_other_than(others, server, anchor) for server in self.state.servers)

    def _shows_other_than(self, others: list[Name], server: str, anchor: bytes) -> bool:
        try:
            return client.probe([server], anchor).issuer not in others
        except NoAnswer:
            return False

    def _tidy(self, step: Step, now: datetime) -> bool:
        if step is Step.CLEAN:
            self.home.clean(None)
            self.log("Removed the future certificate of an operation that is over.")
        elif step is Step.RETIRE:
            self.home.retire()
            self.log("The old CA is retired: its link is not sent any more.")
        elif step is Step.SET_TRUST:
            self._set_trust()
        elif step is Step.CLOSE:
            self._close(now)
        return step is not Step.WAIT

    def _set_trust(self) -> None:
        def probe(candidate: bytes) -> client.Answer:
            return client.probe(self.state.servers, candidate)

        if trust.replace(self.home, self.manifest.anchors, probe):
            self.log(f"Trusts {_summary(self.manifest)}.")
            system_trust.follow(self.home.path, self.manifest.anchors, self.log)
            hooks.run(self.home.path, "trust", self.log)

    def _close(self, now: datetime) -> None:
        """The update is gone: retired, then the new CA stayed, or cancelled."""
        progress = self.state.progress
        if progress is not None and progress.new_anchor in self.manifest.fingerprints():
            self._advance(self._at("completed"), now)
        else:
            self.state.progress = None
            self.state.save(self.home)

    def _at(self, reached: str) -> Progress:
        if self.state.progress is None:
            raise ValueError("no update is in progress")
        return replace(self.state.progress, state=reached)

    def _fail(self, reason: str, now: datetime) -> bool:
        return self._advance(self._at("failed"), now, reason=reason)

    def _advance(self, progress: Progress, now: datetime, *, reason: str = "") -> bool:
        self.state.advance(progress, reason=reason, at=now)
        self.state.save(self.home)
        self.log(f"Update {progress.update}: {progress.state}. {reason}".rstrip())
        return True


def _summary(current: Manifest) -> str:
    return "CA " + ", ".join(fingerprint[:16] for fingerprint in current.fingerprints())


def can_authenticate() -> bool:
    """Return whether what the role authentication needs is installed."""
    return satellite is not None
