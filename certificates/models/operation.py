"""
An operation replaces the zone's certificate authority, over hours or days.

    PREPARING -> REPLICATING -> ASSIGNED -> ARMED -> ACTIVATING -> OVERLAP -> COMPLETED
        |  |         |             |                  |      |       |           ^
        |  +---------+-------------+--> CANCELLING    |      +-------|-- Strict -+
        |                                   |  ^      |              |
        v                                   v  |      +------+-------+
      FAILED         CANCELLED, CANCEL_FAILED                v
                                                    ROLLING_BACK -> ROLLED_BACK

Immediate, when the old CA has expired: PREPARING -> ACTIVATING -> REPLICATING -> ASSIGNED ->
OVERLAP -> COMPLETED. The servers switch first, through their queues; no device could be told
before. In this overlap the old chain is shown by the rescue port alone, to those that come late.

Nothing but _move() writes Operation.state. *Open* ends at the switch: in OVERLAP both CAs are
trusted, and another operation may begin. Held is not a state but a reason: what keeps an operation
from being armed when its time has come.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from certificates.models import acts
from certificates.models.authority import CertificateAuthority
from devices.models import Device, Zone
from systemupdates.models import SystemUpdate
from zcc.ground import audit
from zcc.ground.claims import Claimable


class Kind(models.TextChoices):
    REMINT_CA = "remint_ca", "Remint CA"
    CHANGE_CA = "change_ca", "Change CA"


class Policy(models.TextChoices):
    """What becomes of the old CA at the activation."""

    OVERLAP = "overlap", "Overlap"
    STRICT = "strict", "Strict"


class CsrMode(models.TextChoices):
    """Who makes the servers' keys and requests when an external CA is to sign them."""

    MANUAL = "manual", "I will generate a CSR for each server manually"
    AUTOMATIC = "automatic", "Let ZENworks generate a CSR automatically for each server"


class WithoutCertificate(models.TextChoices):
    """What becomes of the activation when a server has no future certificate by then."""

    HOLD = "hold", "Hold the activation"
    GO_ON = "go_on", "Go on without that server"


class State(models.TextChoices):
    PREPARING = "preparing", "Preparing"
    REPLICATING = "replicating", "Replicating"
    ASSIGNED = "assigned", "Assigned"
    ARMED = "armed", "Armed"
    ACTIVATING = "activating", "Activating"
    OVERLAP = "overlap", "Overlap"
    COMPLETED = "completed", "Completed"
    CANCELLING = "cancelling", "Canceling"
    CANCEL_FAILED = "cancel_failed", "Cancel failed"
    CANCELLED = "cancelled", "Canceled"
    ROLLING_BACK = "rolling_back", "Rolling back"
    ROLLED_BACK = "rolled_back", "Rolled back"
    FAILED = "failed", "Failed"


TRANSITIONS: dict[str, set[str]] = {
    State.PREPARING: {State.REPLICATING, State.ACTIVATING, State.CANCELLING, State.FAILED},
    State.REPLICATING: {State.ASSIGNED, State.CANCELLING},
    State.ASSIGNED: {State.ARMED, State.OVERLAP, State.CANCELLING},
    State.ARMED: {State.ACTIVATING},
    State.ACTIVATING: {State.OVERLAP, State.COMPLETED, State.REPLICATING, State.ROLLING_BACK},
    State.OVERLAP: {State.COMPLETED, State.ROLLING_BACK},
    State.ROLLING_BACK: {State.ROLLED_BACK},
    State.CANCELLING: {State.CANCELLED, State.CANCEL_FAILED},
    State.CANCEL_FAILED: {State.CANCELLING},
}
CANCELLABLE_STATES = (State.PREPARING, State.REPLICATING, State.ASSIGNED)
OPEN_STATES = (
    *CANCELLABLE_STATES,
    State.ARMED,
    State.ACTIVATING,
    State.CANCELLING,
    State.CANCEL_FAILED,
    State.ROLLING_BACK,
)
# The new CA of these is on its way out.
TAKEN_BACK_STATES = (State.CANCELLING, State.CANCEL_FAILED, State.CANCELLED)
# The states in which something is still to be done, by somebody.
LIVE_STATES = (*OPEN_STATES, State.OVERLAP)


class IllegalTransition(Exception):
    """The operation is not in a state from which it can do this."""


class OperationQuerySet(models.QuerySet["Operation"]):
    def open(self) -> "OperationQuerySet":
        return self.filter(state__in=OPEN_STATES)

    def live(self) -> "OperationQuerySet":
        return self.filter(state__in=LIVE_STATES)

    def newest(self, zone: Zone) -> "Operation | None":
        """The operation that servers follow: also a completed one, for those that come late."""
        ended = (State.CANCELLED, State.FAILED)
        return self.filter(zone=zone).exclude(state__in=ended).order_by("pk").last()


class Operation(Claimable):
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="operations")
    guid = models.UUIDField(default=uuid.uuid4, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=13, choices=State, default=State.PREPARING)
    initiating_server = models.ForeignKey(Device, models.PROTECT, related_name="+")
    update = models.OneToOneField(SystemUpdate, models.PROTECT, related_name="+")
    old_ca = models.ForeignKey(CertificateAuthority, models.PROTECT, related_name="+")
    new_ca = models.ForeignKey(CertificateAuthority, models.PROTECT, null=True, related_name="+")
    # What was asked for.
    common_name = models.CharField(max_length=64)
    key_type = models.CharField(max_length=8)
    years = models.PositiveSmallIntegerField()
    include_additional_dns_names = models.BooleanField(default=True)
    policy = models.CharField(max_length=7, choices=Policy, default=Policy.OVERLAP)
    # Of a change to an external CA; `csr_subject` has the keys O, OU, L, ST, C.
    csr_mode = models.CharField(max_length=9, choices=CsrMode, blank=True)
    csr_subject = models.JSONField(default=dict)
    without_certificate = models.CharField(
        max_length=5, choices=WithoutCertificate, default=WithoutCertificate.HOLD
    )
    activate_at = models.DateTimeField()
    # The old CA had expired when it began: there is no date to wait for.
    is_immediate = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    # The same form sent twice makes one operation.
    idempotency_key = models.UUIDField(unique=True)
    held_reason = models.CharField(max_length=400, blank=True)
    problem = models.CharField(max_length=600, blank=True)
    retry_at = models.DateTimeField(null=True)
    cancelling_since = models.DateTimeField(null=True)
    activated_at = models.DateTimeField(null=True)
    # When a device was heard of last that trusted only what is retired with this operation.
    needed_at = models.DateTimeField(null=True)
    # So many days without such a device end the overlap; None: only an administrator does.
    retire_after = models.PositiveSmallIntegerField(null=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone"],
                condition=Q(state__in=OPEN_STATES),
                name="one_open_operation_per_zone",
                violation_error_message="Another operation is in progress.",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[State.PREPARING, State.FAILED])
                | Q(state__in=TAKEN_BACK_STATES)
                | Q(new_ca__isnull=False),
                name="operation_has_a_new_ca_once_prepared",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.get_kind_display()} {self.state}"

    # Questions

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES

    @property
    def is_to_external(self) -> bool:
        """Whether the new CA is an external one, which makes none of its certificates here."""
        return bool(self.csr_mode)

    @property
    def csr_subject_text(self) -> str:
        """What the requests' subject says besides the server's name: `O=Acme, C=NO`."""
        return ", ".join(f"{name}={value}" for name, value in self.csr_subject.items())

    @property
    def is_same_root(self) -> bool:
        """Whether an external CA is renewed under the root it has: only servers change."""
        return self.new_ca is not None and self.new_ca.sha256 == self.old_ca.sha256

    @property
    def is_strict(self) -> bool:
        """Whether nobody trusts the old CA from the activation on, as the manual says."""
        return self.policy == Policy.STRICT

    @property
    def is_taken_back(self) -> bool:
        """Whether nobody has to get ready for its activation any more."""
        return self.state in (State.CANCELLING, State.CANCEL_FAILED, State.CANCELLED)

    @property
    def is_held(self) -> bool:
        return bool(self.held_reason)

    @property
    def cutoff_at(self) -> datetime:
        """From then on it is armed and can no longer be cancelled."""
        return self.activate_at - settings.ZCC_CANCEL_CUTOFF

    @property
    def quiet_since(self) -> datetime | None:
        """Since when nobody was heard of who needs the old CA; None before the activation."""
        if self.activated_at is None:
            return None
        return max(self.activated_at, self.needed_at or self.activated_at)

    @property
    def retires_at(self) -> datetime | None:
        """When the overlap ends by itself if nobody needs the old CA until then; None: never."""
        if self.retire_after is None or self.quiet_since is None:
            return None
        return self.quiet_since + timedelta(days=self.retire_after)

    def can_cancel(self, now: datetime) -> bool:
        """
        "The Cancel button will be disabled ten minutes before the activation time." (manual)

        A held operation does not activate by itself, so it can be cancelled after that, too.
        """
        if self.state == State.CANCEL_FAILED:
            return True
        if self.is_immediate:
            return self.state == State.PREPARING
        return self.state in CANCELLABLE_STATES and (now < self.cutoff_at or self.is_held)

    # Verbs

    def begin(self, *, by: Any, at: datetime) -> None:
        """It has just been made."""
        self._tell(self.state, by=by, at=at, note="")

    def mark_prepared(self, *, new_ca: CertificateAuthority, at: datetime) -> None:
        """The CA server has the new key, the new CA and the content of the update."""
        if self.is_immediate:
            self._move(State.ACTIVATING, by=None, at=at, new_ca=new_ca, activated_at=at, problem="")
        else:
            self._move(State.REPLICATING, by=None, at=at, new_ca=new_ca, problem="")

    def mark_assigned(self, *, by: Any, at: datetime) -> None:
        self._move(State.ASSIGNED, by=by, at=at, held_reason="")

    def arm(self, *, at: datetime) -> None:
        """Give the go-ahead; an operation that was held activates one cut-off later."""
        activate_at = max(self.activate_at, at + settings.ZCC_CANCEL_CUTOFF)
        if activate_at <= self.activate_at + LATE_ARMING:
            activate_at = self.activate_at
        self._move(State.ARMED, by=None, at=at, held_reason="", activate_at=activate_at)

    def start_activation(self, *, at: datetime) -> None:
        self._move(State.ACTIVATING, by=None, at=at, activated_at=at)

    def finish_activation(self, *, at: datetime) -> None:
        """The overlap begins; Strict has none, and Immediate first tells the devices."""
        following = State.COMPLETED if self.is_strict else State.OVERLAP
        self._move(State.REPLICATING if self.is_immediate else following, by=None, at=at)

    def wait_for_devices(self, *, at: datetime) -> None:
        """Immediate: every device has the update, and comes for it when it can."""
        self._move(State.OVERLAP, by=None, at=at)

    def complete(self, *, by: Any, at: datetime, note: str = "") -> None:
        """The old CA is retired."""
        self._move(State.COMPLETED, by=by, at=at, note=note)

    def set_retirement(self, *, after: int | None, by: Any, at: datetime, note: str) -> None:
        """End the overlap after so many quiet days, or with None only by hand."""
        self._stay(in_=(State.OVERLAP,), by=by, at=at, note=note, retire_after=after)

    def start_cancel(self, *, by: Any, at: datetime) -> None:
        if not self.can_cancel(at):
            raise IllegalTransition(f"{self} can no longer be cancelled")
        self._move(State.CANCELLING, by=by, at=at, cancelling_since=at, held_reason="", problem="")

    def mark_cancelled(self, *, at: datetime) -> None:
        self._move(State.CANCELLED, by=None, at=at, problem="")

    def fail_cancel(self, reason: str, *, at: datetime) -> None:
        self._move(State.CANCEL_FAILED, by=None, at=at, note=reason, problem=reason[:600])

    def postpone(self, *, to: datetime, by: Any, at: datetime, note: str) -> None:
        """Move the activation; a hold ends with it."""
        self._stay(in_=CANCELLABLE_STATES, by=by, at=at, note=note, activate_at=to, held_reason="")

    def note(self, text: str, *, by: Any, at: datetime) -> None:
        """Record something that changes nothing of the operation itself."""
        self._tell(self.state, by=by, at=at, note=text)

    def note_sign_off(self, *, by: Any, at: datetime, note: str) -> None:
        self._stay(in_=CANCELLABLE_STATES, by=by, at=at, note=note)

    def start_rollback(self, *, by: Any, at: datetime, reason: str) -> None:
        self._move(State.ROLLING_BACK, by=by, at=at, note=reason, problem="")

    def finish_rollback(self, *, at: datetime) -> None:
        self._move(State.ROLLED_BACK, by=None, at=at)

    def hold(self, reason: str, *, at: datetime) -> None:
        """Say why it is not armed although its time has come, unless it was postponed meanwhile."""
        if reason == self.held_reason:
            return
        held = self._unmoved().filter(state__in=CANCELLABLE_STATES)
        with transaction.atomic():
            if not held.exclude(held_reason=reason[:400]).update(held_reason=reason[:400]):
                return
            self._tell(self.state, by=None, at=at, note=f"Held: {reason}")
        self.held_reason = reason

    def clear_problem(self, *, by: Any, at: datetime) -> None:
        """Put the failure message away; it stays in the history."""
        audit.record("Clear message", self, by=by, at=at, note=self.problem)
        Operation.objects.filter(pk=self.pk).update(problem="")
        self.problem = ""

    def _stay(
        self, *, in_: tuple[State, ...], by: Any, at: datetime, note: str, **facts: Any
    ) -> None:
        """Change something while it stays in one of the states, or raise IllegalTransition."""
        with transaction.atomic():
            row = self._unmoved().filter(state__in=in_)
            if not row.update(**{"activate_at": self.activate_at, **facts}):
                self.refresh_from_db()
                raise IllegalTransition(f"{self} has changed meanwhile")
            self._tell(self.state, by=by, at=at, note=note)
        for name, value in facts.items():
            setattr(self, name, value)

    def _tell(self, state: str, *, by: Any, at: datetime, note: str) -> None:
        self.events.create(state=state, by=by, at=at, note=note[:600])
        what, outcome = acts.told(self.get_kind_display(), self.state, state, by=by, note=note)
        audit.record(what, self, by=by, at=at, note=outcome)

    def _unmoved(self) -> OperationQuerySet:
        """This row, as long as nobody has moved its activation meanwhile."""
        return Operation.objects.filter(pk=self.pk, activate_at=self.activate_at)

    def _move(self, to: State, *, by: Any, at: datetime, note: str = "", **facts: Any) -> None:
        """
        Change state and record the change, or raise IllegalTransition.

        The old state is checked by the UPDATE itself, so when a worker and a click on Cancel race,
        one of them wins and the other is told.
        """
        sources = [state for state, targets in TRANSITIONS.items() if to in targets]
        with transaction.atomic():
            row = self._unmoved().filter(state__in=sources)
            if not row.update(state=to, **facts):
                self.refresh_from_db()
                raise IllegalTransition(f"{self} cannot become {to}")
            self._tell(to, by=by, at=at, note=note)
        self.state = to
        for name, value in facts.items():
            setattr(self, name, value)


# A tick may be this late without the activation being moved for it.
LATE_ARMING = settings.ZCC_CANCEL_CUTOFF / 10


class OperationEvent(models.Model):
    """One change of an operation: to what state, by whom (nobody: the software), when, and why."""

    operation = models.ForeignKey(Operation, models.CASCADE, related_name="events")
    state = models.CharField(max_length=13, choices=State)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    note = models.CharField(max_length=600, blank=True)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"#{self.pk} {self.state}"
