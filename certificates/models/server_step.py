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

    def may_look(self, state: str) -> bool:
        """Whether remint-repo is watched: until it is armed, or a late server has what it needs."""
        if not self.is_by_hand or not self.requested_at or self.armed_at or self.activated_at:
            return False
        return state in CANCELLABLE_STATES or not self.staged_at

    def next_step(
        self, state: str, *, is_issued: bool, is_released: bool, is_switched: bool
    ) -> Step | None:
        """
        Return the step that is due on this server while its operation is in `state`.

        `is_issued`: its future certificate exists. `is_released`: the update has been assigned and
        its turn has come. `is_switched`: the activation has begun.
        """
        if state in _TAKEN_BACK:
            return None if self.cleaned_at else Step.CLEAN
        if state in _ROLLED_BACK:
            return None if self.rolled_back_at else Step.ROLL_BACK
        if state == OperationState.COMPLETED and self.activated_at:
            return None if self.retired_at else Step.RETIRE
        if not self.requested_at:
            return Step.REQUEST
        if not self.staged_at:
            return Step.STAGE if is_issued and is_released else None
        if is_switched:
            return None if self.activated_at else Step.ACTIVATE
        if state == OperationState.ARMED:
            return None if self.armed_at else Step.ARM
        return None
