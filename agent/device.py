"""
One device: refreshes, and does the steps that `plan` names. It has no clock: see `loop`.
Times that come in are this device's; activation counts by `server_time`.
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
    manifest,
    pages,
    plan,
    proof,
    rehearsal,
    roles,
    trust,
    whereabouts,
)
from agent.applying import Applying, Log, summary
from agent.client import NoAnswer, NotUnderstood, Refused, Untrusted
from agent.content import ContentError
from agent.home import Home
from agent.manifest import ManifestError, format_time
from agent.plan import Situation
from agent.replication import Replica
from agent.roles import satellite
from agent.state import Identity, State
from agent.told import MAX_FORMER, read


class Device(Applying):
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
        self.begins_anew = False  # it has other roles than this object was made for, or moved
        self.role_problem = ""
        self.unserved: Callable[[], dict[str, str]] = dict  # roles that lack a port, and why
        self._told: tuple[object, ...] | None = None  # the last time: its roles, and its trust

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
        self._ask_another_first(clock())
        self._look_around()
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
        tells = (*self._tells_of_roles(), trust.fingerprints(trust.current(self.home)))
        if self._told not in (None, tells):
            return True
        if self.replica is not None and self.replica.has_news():
            return True
        if not self.is_authentication() or satellite is None:
            return False
        known = satellite.report(self.home, self.state.certificates)
        return satellite.differ(known, self._reported)

    def is_authentication(self) -> bool:
        """Return whether this device terminates TLS with a certificate of its own."""
        return "authentication" in self.identity.roles

    def context(self, anchors: bytes) -> ssl.SSLContext:
        """Return the context of the calls to the zone's servers, who are verified by `anchors`."""
        return client.trusting(anchors)

    def _tells_of_roles(self) -> tuple[list[str], str]:
        """Return the roles that it fills, and why not more."""
        unserved = self.unserved()
        filled = [role for role in self.identity.roles if role not in unserved]
        reasons = [self.role_problem, *unserved.values()]
        if unserved:
            reasons.append(roles.TRIES_AGAIN)
        return filled, " ".join(filter(None, reasons))

    def _request(self, now: datetime, anchors: bytes) -> dict[str, Any]:
        filled, role_problem = self._tells_of_roles()
        request: dict[str, Any] = {
            "version": VERSION,
            "dns_name": self.identity.dns_name,
            "addresses": self.identity.addresses,
            "clock": format_time(now),
            "trust": trust.fingerprints(anchors),
            "epoch": self.state.epoch,
            "steps": self.state.steps,
            "proof": self.state.proof,
            "roles": filled,
            "role_problem": role_problem,
        }
        self._told = (filled, role_problem, request["trust"])
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

    def _look_around(self) -> None:
        """Note another address or name of the host; a Satellite begins anew to listen there."""
        now = whereabouts.found(self.identity, self.state.servers[0])
        if now == self.identity:
            return
        known, self.identity = self.identity, now
        self.identity.save(self.home)
        has_moved = now.addresses != known.addresses
        self.begins_anew = self.begins_anew or (has_moved and bool(now.roles))
        if has_moved or now.dns_name != known.dns_name:
            self.log(f"This host is {now.dns_name}, at {', '.join(now.addresses)}.")

    def _ask_another_first(self, now: datetime) -> None:
        """From time to time begin with another server: the usual one may keep news back."""
        last, state = self.state.opinion_at, self.state
        known = manifest.parse_time(last) if last else None
        is_due = plan.wants_other_server(known, interval=state.interval, now=now)
        if is_due:
            state.servers = state.servers[1:] + state.servers[:1]
        if is_due or known is None or known > now:
            state.opinion_at = format_time(now)

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
        if self.is_authentication() and "authentication" not in taken:
            self.home.give_up()  # before the role is gone: killed in between, it is done again
        self.identity, self.begins_anew = replace(self.identity, roles=taken), True
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
            self.log(f"Trust manifest of epoch {offered.epoch}: {summary(offered)}.")

    def _prefer(self, server: str) -> None:
        """Ask the server that answered first the next time, too."""
        if server in self.state.servers:
            self.state.servers.sort(key=server.__ne__)
