"""
What an administrator asks of whoever holds the zone's keys, or is to hold them.

    backup, verify    ASKED -> DONE
    restore           ASKED -> DONE
    move              ASKED -> SENT -> PROVEN -> DONE        and from each but DONE: REFUSED

`turn` is the server whose worker has the next step. Of a move: the holder seals the keys for the
new server (SENT), that one stores them and signs with each (PROVEN), and the holder checks the
signatures before the role leaves it (DONE).

What is secret (a passphrase, a backup, keys) is in the row only sealed to one server, and only for
a minute. The row stays without it: it says who asked for what, when, and what became of it.
"""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q, QuerySet

from devices.models import Device, Zone
from zcc.ground import audit, claims
from zcc.ground.claims import Claimable


class Kind(models.TextChoices):
    BACKUP = "backup", "Backup CA"
    VERIFY = "verify", "Verify backup"
    RESTORE = "restore", "Restore CA"
    MOVE = "move", "Move CA Role"


class State(models.TextChoices):
    ASKED = "asked", "Asked"
    SENT = "sent", "Sent"
    PROVEN = "proven", "Proven"
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"


TRANSITIONS: dict[str, set[str]] = {
    State.ASKED: {State.SENT, State.DONE, State.REFUSED},
    State.SENT: {State.PROVEN, State.REFUSED},
    State.PROVEN: {State.DONE, State.REFUSED},
}
OPEN_STATES = (State.ASKED, State.SENT, State.PROVEN)
ROLE_KINDS = (Kind.MOVE, Kind.RESTORE)


class KeyRequestQuerySet(models.QuerySet["KeyRequest"]):
    def open(self) -> "KeyRequestQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def of_the_role(self) -> "KeyRequestQuerySet":
        """Those after which another server may hold the keys."""
        return self.filter(kind__in=ROLE_KINDS)


class KeyRequest(Claimable):
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="key_requests")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    kind = models.CharField(max_length=7, choices=Kind)
    state = models.CharField(max_length=7, choices=State, default=State.ASKED)
    # Who makes or judges the file, or is to get the CA role; and who has the role when it is asked.
    server = models.ForeignKey(Device, models.PROTECT, related_name="+")
    holder = models.ForeignKey(Device, models.PROTECT, related_name="+")
    turn = models.ForeignKey(Device, models.PROTECT, related_name="+")
    # Whose console asked: it alone can open the answer.
    asked_from = models.ForeignKey(Device, models.PROTECT, related_name="+")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    # Until then the next step must be done; of a DONE one, until then its answer can be fetched.
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    sealed = models.BinaryField(null=True)
    answer = models.BinaryField(null=True)
    # Of a move: each key's signature over this request, by the CA's GUID, in hexadecimal.
    proofs = models.JSONField(default=dict)
    file_name = models.CharField(max_length=200, blank=True)
    file_sha256 = models.CharField(max_length=64, blank=True)
    # What the backup holds, without anything secret: see certificates.backups.
    findings = models.JSONField(default=dict)
    problem = models.CharField(max_length=600, blank=True)

    objects = KeyRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone"],
                condition=Q(kind__in=ROLE_KINDS, state__in=OPEN_STATES),
                name="one_change_of_the_ca_role",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.kind} {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    def context(self, what: str) -> bytes:
        """What is sealed for this request opens in no other, nor as another part of it."""
        return f"zcc {what} {self.kind} {self.zone.guid} {self.guid} {self.server.guid}".encode()

    def mark_sent(self, sealed: bytes, *, until: datetime) -> None:
        """By the holder's worker: the keys are on their way, for the new server alone."""
        self._move(State.SENT, sealed=sealed, expires_at=until, turn=self.server)

    def mark_proven(self, proofs: dict[str, str], *, until: datetime) -> None:
        """By the new server's worker: every key lies there and signs."""
        self._move(State.PROVEN, proofs=proofs, sealed=None, expires_at=until, turn=self.holder)

    def finish(self, *, at: datetime, **facts: Any) -> None:
        """By the worker whose turn it is: what was asked for is done."""
        with transaction.atomic():
            self._move(State.DONE, sealed=None, ended_at=at, **facts)
            self._tell(self._what_came_of_it(), at=at)

    def refuse(self, problem: str, *, at: datetime) -> None:
        """By the worker whose turn it is: it cannot be done, and nothing has changed."""
        with transaction.atomic():
            self._move(State.REFUSED, sealed=None, ended_at=at, problem=problem[:600])
            self._tell(f"Refused: {problem}", at=at)

    def expire(self, problem: str, *, at: datetime) -> bool:
        """By the tick: nobody did the next step in time. False: somebody did after all."""
        rows = KeyRequest.objects.filter(pk=self.pk, state=self.state, expires_at__lte=at)
        facts = {"state": State.REFUSED, "sealed": None, "ended_at": at, "problem": problem}
        with transaction.atomic():
            if not rows.update(claim_id=None, lease_until=None, **facts):
                return False
            self._tell(f"Refused: {problem}", at=at)
        return True

    def _tell(self, outcome: str, *, at: datetime) -> None:
        """Tell the audit log what was asked for, once it is known what came of it."""
        what = self.get_kind_display()
        audit.record(what, self.server, by=self.asked_by, at=at, note=outcome)

    def _what_came_of_it(self) -> str:
        """Of one that is done."""
        match self.kind:
            case Kind.BACKUP:
                return f"Made {self.file_name}"
            case Kind.VERIFY if self.findings.get("zone") != str(self.zone.guid):
                return f"{self.file_name} is of another zone"
            case Kind.VERIFY:
                return f"{self.file_name} is good"
            case Kind.RESTORE:
                return f"Restored from {self.file_name}"
        return f"From {self.holder.name} to {self.server.name}"

    def _move(self, to: State, **facts: Any) -> None:
        """Change state as the worker that claims the row; raise LeaseLost if it does no more."""
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        rows: QuerySet[KeyRequest] = claims.mine(self).filter(state__in=sources)
        if not rows.update(state=to, claim_id=None, lease_until=None, **facts):
            raise claims.LeaseLost(f"{self} is no longer this worker's.")
        self.state = to
        for name, value in facts.items():
            setattr(self, name, value)
