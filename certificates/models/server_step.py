"""
How far one server has come in one operation.

There is no state to keep in step with the operation's: each column says when the server's home was
seen to be so, and `next_step` compares them with where the operation stands. So a step may be
repeated, a server may be away for a week, and a worker may die between any two lines.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Q

from certificates.models.operation import CANCELLABLE_STATES, CsrMode, Operation
from certificates.models.operation import State as OperationState
from devices.models import Device
from zcc.ground.claims import Claimable


class Step(models.TextChoices):
    REQUEST = "request", "make a key and ask for the certificate"
    LOOK = "look", "look what was put into remint-repo"
    STAGE = "stage", "put the new certificate into remint-repo"
    UPDATE = "update", "run the Certificate Updater Tool"
    ARM = "arm", "keep the go-ahead"
    ACTIVATE = "activate", "put the new certificate to use"
    RETIRE = "retire", "stop sending the link"
    CLEAN = "clean", "remove what the cancelled operation left"
    ROLL_BACK = "roll_back", "put the old certificate back to use"


@dataclass(frozen=True, kw_only=True)
class CsrWishes:
    """What a request for an external CA is to say; `fields` are those of pki.csr.FIELDS."""

    fields: dict[str, str]
    key_type: str
    include_additional_dns_names: bool


# Nothing is made for these any more; a cancel that failed is still cleaned up after.
_TAKEN_BACK = (
    OperationState.CANCELLING,
    OperationState.CANCEL_FAILED,
    OperationState.CANCELLED,
)
# So many failed runs of the Certificate Updater Tool, and nobody waits for it any more.
MOST_FAILURES = 3
_ROLLED_BACK = (OperationState.ROLLING_BACK, OperationState.ROLLED_BACK)


class ServerProgressQuerySet(models.QuerySet["ServerProgress"]):
    def free(self, now: datetime) -> "ServerProgressQuerySet":
        """Rows that no worker holds and whose last failure is long enough ago."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        return self.filter(free, Q(retry_at=None) | Q(retry_at__lte=now))


class ServerProgress(Claimable):
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="servers")
    device = models.ForeignKey(Device, models.PROTECT, related_name="operation_steps")
    requested_at = models.DateTimeField(null=True)
    staged_at = models.DateTimeField(null=True)
    armed_at = models.DateTimeField(null=True)
    activated_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    cleaned_at = models.DateTimeField(null=True)
    rolled_back_at = models.DateTimeField(null=True)
    # How often Generate CSR asked for another key, and what was wished for then: see CsrWishes.
    request_number = models.PositiveSmallIntegerField(default=0)
    csr_wishes = models.JSONField(default=dict)
    problem = models.CharField(max_length=400, blank=True)
    retry_at = models.DateTimeField(null=True)
    # The last good run of the Certificate Updater Tool, and what became of those after it: all are
    # in `updater_runs`. It has a `retry_at` of its own: no other step waits for a tool that fails.
    updater_ran_at = models.DateTimeField(null=True)
    updater_problem = models.CharField(max_length=400, blank=True, db_default="", default="")
    updater_failures = models.PositiveIntegerField(db_default=0, default=0)
    updater_retry_at = models.DateTimeField(null=True)

    objects = ServerProgressQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "device"], name="server_once_an_operation"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.device_id} in {self.operation_id}"

    @property
    def is_by_hand(self) -> bool:
        """Whether an administrator puts certificate and key into this server's remint-repo."""
        return self.operation.csr_mode == CsrMode.MANUAL and not self.request_number

    @property
    def wishes(self) -> "CsrWishes":
        """What the server's request is to say: the operation's wishes, or newer ones of its own."""
        operation = self.operation
        known = {
            "fields": operation.csr_subject,
            "key_type": operation.key_type,
            "include_additional_dns_names": operation.include_additional_dns_names,
        }
        return CsrWishes(**{**known, **self.csr_wishes})

    @property
    def problems(self) -> list[str]:
        """What is wrong on this server, in sentences for the user."""
        updater = (
            f"The Certificate Updater Tool could not do its part. {self.updater_problem} It is "
            "tried again by itself; the activation does not wait for it."
        )
        return [*filter(None, [self.problem]), *([updater] if self.updater_problem else [])]

    @property
    def is_updater_wanted(self) -> bool:
        """
        Whether the Certificate Updater Tool is still to run here.

        An external CA may take days to sign: then it brings the trust at first, and runs once more
        when the certificate is in place.
        """
        if self.staged_at is None:
            return self.updater_ran_at is None and self.operation.is_to_external
        return self.updater_ran_at is None or self.updater_ran_at < self.staged_at

    @property
    def is_updater_through(self) -> bool:
        """Whether nobody waits for the tool here: it has run, or has failed too often."""
        return self.updater_ran_at is not None or self.updater_failures >= MOST_FAILURES

    @property
    def _updater_comes_first(self) -> bool:
        """Of an Immediate operation the tool makes the switch, as long as it can."""
        is_first = self.operation.is_immediate and self.is_updater_wanted
        return is_first and self.updater_failures < MOST_FAILURES

    def may_look(self, state: str) -> bool:
        """Whether remint-repo is watched: until it is armed, or a late server has what it needs."""
        if not self.is_by_hand or not self.requested_at or self.armed_at or self.activated_at:
            return False
        return state in CANCELLABLE_STATES or not self.staged_at

    def next_step(
        self,
        state: str,
        *,
        is_issued: bool,
        is_released: bool,
        is_switched: bool,
        is_updater_due: bool = False,
    ) -> Step | None:
        """
        Return the step that is due on this server while its operation is in `state`.

        `is_issued`: its future certificate exists. `is_released`: the update has been assigned and
        its turn has come. `is_switched`: the activation has begun. `is_updater_due`: the
        Certificate Updater Tool is wanted here and did not fail a moment ago.
        """
        if state in _TAKEN_BACK:
            return None if self.cleaned_at else Step.CLEAN
        if state in _ROLLED_BACK:
            return None if self.rolled_back_at else Step.ROLL_BACK
        if state == OperationState.COMPLETED and self.activated_at:
            return None if self.retired_at else Step.RETIRE
        if not self.requested_at:
            return Step.REQUEST
        if not self.staged_at and is_issued and is_released:
            return Step.STAGE
        updater = Step.UPDATE if is_updater_due and state != OperationState.ARMED else None
        return self._own_switch(state, is_switched=is_switched, updater=updater) or updater

    def _own_switch(self, state: str, *, is_switched: bool, updater: Step | None) -> Step | None:
        """The step towards the switch that is due on a server that has staged, if there is one."""
        if not self.staged_at:
            return None
        if is_switched and not self.activated_at:
            return updater if self._updater_comes_first else Step.ACTIVATE
        is_unarmed = state == OperationState.ARMED and not self.armed_at
        return Step.ARM if is_unarmed else None


class UpdaterRun(models.Model):
    """One run of the Certificate Updater Tool on a server, or several that failed alike."""

    progress = models.ForeignKey(ServerProgress, models.CASCADE, related_name="updater_runs")
    at = models.DateTimeField()
    # What the tool said, or why it did not do its part.
    said = models.TextField(blank=True)
    problem = models.CharField(max_length=400, blank=True)
    # It is tried again and again: what fails each time for the same reason is one row.
    times = models.PositiveIntegerField(default=1)
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"#{self.pk} of {self.progress_id}, {self.times} times"
