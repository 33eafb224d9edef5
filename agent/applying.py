"""
The steps of an update on a device, as `plan` names them: each is done from what is on the disk.

Times are the server's. What needs a server raises NoAnswer when none answers; it is due again then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from agent import client, hooks, pem, proof, replication, system_trust, trust
from agent.client import Untrusted
from agent.content import ContentError
from agent.home import Home
from agent.manifest import Manifest, Update, format_time
from agent.plan import Step
from agent.replication import Replica
from agent.state import Progress, State

Log = Callable[[str], None]


class Applying:
    """What a device does with what it was told: a part of `device.Device`, which has these."""

    home: Home
    log: Log
    state: State
    manifest: Manifest
    replica: Replica | None

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
        return self._completed(now)

    def _completed(self, now: datetime) -> bool:
        self._advance(self._at("completed"), now)
        hooks.run(self.home.path, "activation", self.log)
        return True

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
            self.log(f"Trusts {summary(self.manifest)}.")
            system_trust.follow(self.home.path, self.manifest.anchors, self.log)
            hooks.run(self.home.path, "trust", self.log)

    def _close(self, now: datetime) -> None:
        """The update is gone: retired, then the new CA stayed, or cancelled."""
        done = self.state.progress
        if done is not None and done.new_anchor in self.manifest.fingerprints():
            self._completed(now)
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


def summary(current: Manifest) -> str:
    """Return what is trusted by this manifest, as the log says it."""
    return "CA " + ", ".join(fingerprint[:16] for fingerprint in current.fingerprints())
