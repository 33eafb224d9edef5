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
    rehearsal,
    replication,
    roles,
    system_trust,
    trust,
)
from agent.client import NoAnswer, NotUnderstood, Refused, Untrusted
from agent.content import ContentError
from agent.home import Home
from agent.manifest import Manifest, ManifestError, Update, format_time
from agent.plan import Situation, Step
from agent.replication import Replica
from agent.roles import satellite
from agent.state import Identity, Progress, State
from agent.told import MAX_FORMER, read

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
        self.rehearsing = rehearsal.Rehearsing(home, self.identity, log=log)
        self._reported: list[dict[str, Any]] = []  # certificates, as the server knows them
        self.has_other_roles = False  # than this object was made for: whoever runs it begins anew
        self.role_problem = self._reported_problem = ""

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
        answer = self._ask(self._request(clock(), anchors), anchors, clock)
        del self.state.steps[:sent]
        self.state.proof_is_news = False
        self.rehearsing.note_reported()
        self._prefer(answer.server)
        self._rehearse(answer, clock())
        self.state.save(self.home)
        return self.state.interval

    def _rehearse(self, answer: client.Answer, now: datetime) -> None:
        """Follow what was told of a rehearsal. What is refused of it spoils nothing else."""
        self.state.refusal = None  # this server was told, and nothing of its own was refused
        if (told := answer.body.get("rehearsal")) is None:
            return
        try:
            self.rehearsing.follow(str(told), now=self.server_time(now))
        except ManifestError as error:
            text = f"{answer.server} told of a rehearsal that is refused. {error}"
            self._refuse(answer.server, text, now)

    def _rescued(self, now: datetime) -> bool:
        """Ask the rescue ports for the trust manifest; return whether another CA is trusted now."""
        before = trust.current(self.home)
        for server in self.state.servers:
            try:
                offered = proof.rescue_manifest(server, before)
                self._accept(offered, self.server_time(now))
                self._set_trust()
            except ManifestError as error:
                self._refuse(server, f"{server}, rescue port: a false manifest. {error}", now)
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
        if not self.is_authentication() or satellite is None:
            return known
        return replace(known, **satellite.situation(self.home, self.state.certificates))

    def has_news(self) -> bool:
        """Return whether there is something to report that a server does not know yet."""
        if self.state.steps or self.state.proof_is_news or self.rehearsing.has_news():
            return True
        if self.role_problem != self._reported_problem:
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
            "roles": self.identity.roles,
            "role_problem": self.role_problem,
        }
        self._reported_problem = self.role_problem
        if rehearsed := self.rehearsing.report():
            request["rehearsal"] = rehearsed
        if self.replica is not None:
            request["content"] = self.replica.report()
        if self.is_authentication() and satellite is not None:
            self._reported = satellite.report(self.home, self.state.certificates)
            request["certificates"] = self._reported
        return request

    def _ask(
        self, request: dict[str, Any], anchors: bytes, clock: Callable[[], datetime]
    ) -> client.Answer:
        """
        Post the request, completed by the leaf that the server shows in this connection.

        A server whose answer is refused is passed over: the next one hears of it.
        """
        context = self.context(anchors)

        def ask(server: str) -> client.Answer:
            try:
                answer = client.call(
                    server,
                    "/device/refresh",
                    context=context,
                    token=self.identity.token,
                    body=lambda peer: {**request, "refusal": self.state.refusal, "peer": peer},
                )
                self._keep(answer, clock())
            except NotUnderstood as error:
                self._refuse(server, str(error), clock())
                raise
            except Refused as error:
                if error.retry_after is None:  # the next time another one may say otherwise
                    self._ask_last(server)
                raise
            return answer

        return client.call_any([*self.state.servers, *self.state.former], ask)

    def _refuse(self, server: str, reason: str, now: datetime) -> None:
        """Note that this server sent what is not to be followed, and ask it last from now on."""
        self.log(reason)
        at = format_time(self.server_time(now))
        self.state.refusal = {"server": server, "reason": reason, "at": at}
        self._ask_last(server)

    def _ask_last(self, server: str) -> None:
        self.state.servers.sort(key=server.__eq__)
        self.state.save(self.home)

    def _keep(self, answer: client.Answer, now: datetime) -> None:
        """Keep what a server answered. Raises NotUnderstood; then nothing of it is kept."""
        try:
            self._keep_all(answer.body, now)
        except ManifestError as error:
            raise NotUnderstood(answer.server, f"sent a false trust manifest. {error}") from error
        except (ContentError, KeyError, TypeError, ValueError) as error:
            raise NotUnderstood(answer.server) from error

    def _keep_all(self, answer: dict[str, Any], now: datetime) -> None:
        told = read(answer, issued_at=self.manifest.issued_at)
        if told.manifest:  # first: of an answer with a false one nothing is kept
            self._accept(told.manifest, told.time)
        # Measured after the answer came, so too small rather than too large: never early.
        self.state.offset = math.floor((told.time - now).total_seconds() * 10) / 10
        self.state.interval = told.interval
        if told.servers:
            known = self.state.servers + self.state.former
            self.state.former = [url for url in known if url not in told.servers][:MAX_FORMER]
            self.state.servers = told.servers
        self.state.order, self.state.prove = told.order, told.prove
        self._take_up(answer.get("roles"))
        if self.replica is not None and "content" in answer:
            self.replica.follow(answer["content"])
        if self.is_authentication() and satellite is not None and "certificates" in answer:
            satellite.follow(self.home, answer["certificates"], log=self.log)
            self.state.certificates = answer["certificates"]

    def _take_up(self, given: object) -> None:
        """Take up the roles that the zone gives; a server that does not say changes nothing."""
        if not isinstance(given, list):
            return
        taken, self.role_problem = roles.take_up(given, authentication=roles.can_authenticate())
        if set(taken) == set(self.identity.roles):
            return
        self.identity, self.has_other_roles = replace(self.identity, roles=taken), True
        self.identity.save(self.home)
        if "content" not in taken:
            for sha256 in self.home.content_items():
                self.home.drop_content(sha256)
        self.log(f"Satellite roles: {', '.join(taken) or 'none'}.")

    def _accept(self, envelope: str, now: datetime) -> None:
        """Keep a manifest that is newer than ours. Raises ManifestError; then ours stays."""
        offered = manifest.read(envelope.encode(), self.identity.key())
        manifest.check(offered, zone=self.identity.zone, epoch=self.state.epoch, now=now)
        if offered.epoch > self.state.epoch:
            self.manifest, self.state.epoch = offered, offered.epoch
            self.state.manifest = envelope
            if self.is_authentication():  # it has a rescue port
                self.home.write_file(pages.MANIFEST, envelope.encode())
            self.log(f"Trust manifest of epoch {offered.epoch}: {_summary(offered)}.")

    def _prefer(self, server: str) -> None:
        """Ask the server that answered first the next time, too."""
        if server in self.state.servers:
            self.state.servers.sort(key=server.__ne__)

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
            return self._advance(self._at("failed"), now, reason=str(error))
        finally:
            if self.replica is None:
                self.home.drop_content(update.sha256)
        return self._advance(self._at("update"), now)

    def _apply(self, update: Update, now: datetime) -> bool:
        try:
            self._set_trust()
        except Untrusted as error:
            reason = f"With the new trust no server is reached. {error}"
            return self._advance(self._at("failed"), now, reason=reason)
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
        if not proof.is_shown(update.new_anchor, self.manifest.anchors, self.state.servers):
            return False
        return self._advance(self._at("completed"), now)

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

    def _advance(self, progress: Progress, now: datetime, *, reason: str = "") -> bool:
        self.state.advance(progress, reason=reason, at=now)
        self.state.save(self.home)
        self.log(f"Update {progress.update}: {progress.state}. {reason}".rstrip())
        return True


def _summary(current: Manifest) -> str:
    return "CA " + ", ".join(fingerprint[:16] for fingerprint in current.fingerprints())
