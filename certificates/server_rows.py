"""The rows of `ZENworks Server SSL Certificates`: one a server, with its future certificate."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.authority import common_name
from certificates.models.operation import State as OperationState
from certificates.models.server_certificate import COMING_STATES, State
from certificates.outdated import no_longer_covered
from certificates.server_options import Option, future_options, missing_line
from certificates.standing import Standing
from certificates.wording import day_text, listed, short_text
from devices.models import Device
from devices.standing import standing as contact
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State as DeviceState
from zcc.templatetags.times import ago_text

# A server that switches this much after the activation was late.
LATE = timedelta(seconds=60)
_TAKEN_BACK = (
    OperationState.CANCELLING,
    OperationState.CANCEL_FAILED,
    OperationState.ROLLING_BACK,
    OperationState.ROLLED_BACK,
)
_CANCELS = (OperationState.CANCELLING, OperationState.CANCEL_FAILED)


@dataclass(frozen=True, kw_only=True)
class ServerRow:
    """What the pane shows of one server."""

    device: Device
    now: datetime
    holds_ca: bool = False
    is_ca_external: bool = False
    current: ServerCertificate | None = None
    future: ServerCertificate | None = None
    operation: Operation | None = None
    update: DeviceUpdate | None = None
    progress: ServerProgress | None = None
    # Names that the future certificate lacks by now; whether it can be mended by this user.
    lacks: tuple[str, ...] = ()
    may_manage: bool = False

    @property
    def is_lacking(self) -> bool:
        """Whether an external CA's certificate is still to come, and nothing is on its way."""
        operation, progress = self.operation, self.progress
        if operation is None or progress is None or self.future is not None:
            return False
        waits = operation.is_to_external and operation.state not in _TAKEN_BACK
        return waits and progress.activated_at is None

    @property
    def is_being_renewed(self) -> bool:
        """Whether a fresh certificate of the same CA is on its way to a server that runs."""
        is_fresh = self.future is not None and self.future.operation_id is None
        return is_fresh and self.device.is_primary_server and self.device.is_alive(self.now)

    @property
    def shows_future(self) -> bool:
        return self.future is not None or self.is_lacking

    @property
    def future_status(self) -> str:
        """The Certificate Status of the future certificate, or that there is none."""
        if self.future is None:
            return "Certificate missing" if self.is_lacking else ""
        return "Outdated" if self.lacks else self.future.status(self.now)

    @property
    def is_taken_back(self) -> bool:
        """Whether the future certificate goes with an operation that is being canceled."""
        operation = self.future.operation if self.future is not None else None
        return operation is not None and operation.state in _CANCELS

    @property
    def needs_you(self) -> bool:
        """Whether the request waits for somebody to have it signed by the external CA."""
        future = self.future
        if future is None or future.state != State.REQUESTED or self.is_taken_back or self.lacks:
            return False
        return future.csr is not None and bool(future.operation and future.operation.is_to_external)

    @property
    def future_options(self) -> list[Option]:
        return future_options(self)

    @property
    def tag(self) -> str:
        if self.holds_ca:
            return "CA role"
        return "" if self.device.is_primary_server else "Satellite"

    @property
    def without(self) -> str:
        """What is said of a server that shows no certificate."""
        if not self.is_ca_external:
            return "None yet. It asks for one at its next contact."
        if self.progress is not None and self.progress.activated_at is None:
            return "None. It gets that of this operation."
        return "None. The external CA signs it one with the next Change CA."

    @property
    def is_expired(self) -> bool:
        expires_at = self.current.expires_at if self.current else None
        return expires_at is not None and expires_at <= self.now

    @property
    def status(self) -> str:
        """The Certificate Status of the certificate in use."""
        return self.current.status(self.now) if self.current else ""

    @property
    def issued_by(self) -> str:
        return common_name(self.current.issuer) if self.current else ""

    @property
    def future_issued_by(self) -> str:
        return common_name(self.future.issuer) if self.future and self.future.sha256 else ""

    @property
    def is_late(self) -> bool:
        """Whether the operation goes on without this server for now."""
        if self.operation is None or self.progress is None or self.progress.activated_at:
            return False
        if self.device.is_primary_server:
            return not self.device.is_alive(self.now)
        return contact(self.device, now=self.now).family == "warn"

    @property
    def update_word(self) -> str:
        """The Update Status, or where the server stands when that says more."""
        operation, progress = self.operation, self.progress
        if operation is None:
            return "No update"
        if progress is not None and operation.state in _CANCELS and progress.cleaned_at:
            return "Canceled"
        if self.is_late:
            return "Late server"
        if operation.state in _CANCELS:
            return "Canceling"
        if operation.state == OperationState.ARMED and progress and progress.armed_at:
            return "Armed"
        return str(self.update.get_state_display()) if self.update else "Not assigned"

    @property
    def update_lines(self) -> list[str]:
        """What stands under the Update Status: since when, and what went wrong, in words."""
        lines = [self._since()] if self._since() else []
        if self.update and self.update.state == DeviceState.FAILED and self.update.reason:
            lines.append(self.update.reason)
        if self.operation is None or self.progress is None:
            return lines
        if self.progress.updater_ran_at and not self.progress.activated_at:
            lines.append(f"Updater Tool ran {self._at(self.progress.updater_ran_at)}")
        if self.progress.problem and not self.progress.is_by_hand:  # else: see `future_line`
            lines.append(self.progress.problem)
        if self.progress.updater_problem:
            lines.append(f"Updater Tool: {self.progress.updater_problem}")
        return lines

    def _since(self) -> str:
        operation, progress = self.operation, self.progress
        if operation is None or progress is None:
            return ""
        if progress.activated_at:
            return self._switched(operation, progress.activated_at)
        if self.is_late:
            return (
                f"not heard of since {self._at(self.last_heard)}"
                if self.last_heard
                else "not heard of yet"
            )
        if progress.cleaned_at and operation.state in _CANCELS:
            return f"clean since {self._at(progress.cleaned_at)}"
        if operation.state in _CANCELS and not self.device.is_primary_server:
            return "at its next refresh"
        if operation.state == OperationState.ARMED and progress.armed_at:
            return f"since {self._at(progress.armed_at)}"
        if progress.staged_at:
            return f"staged {self._at(progress.staged_at)}"
        return ""

    def _switched(self, operation: Operation, at: datetime) -> str:
        late = operation.activated_at is not None and at > operation.activated_at + LATE
        return f"{'was late, ' if late else ''}switched {self._at(at)}"

    @property
    def last_heard(self) -> datetime | None:
        beat = getattr(self.device, "heartbeat", None)
        return beat.at if beat else self.device.last_contact_at

    @property
    def future_line(self) -> str:
        """What stands under `Future certificate`: when it replaces the one above, or why not."""
        if self.progress is not None and self.progress.is_by_hand and self.progress.problem:
            return self.progress.problem
        if self.future is None:
            return missing_line(self)
        if self.is_taken_back:
            return "is removed with the operation"
        if self.lacks:
            return f"has no {listed(list(self.lacks))}"
        if self.future.state == State.FAILED:
            return self.future.reason
        if self.future.state == State.REQUESTED:
            return self._waiting()
        if self.operation is None:
            place = f"replaces that of {self.device.name}" if self.current else "is put to use"
            return self.future.reason or place
        return self._coming(self.operation)

    @property
    def future_caution(self) -> str:
        """What is to be known of a certificate that an external CA has signed, and that will do."""
        future = self.future
        is_here = future is not None and future.state == State.FUTURE and not self.is_taken_back
        return future.reason if is_here and future is not None and future.operation_id else ""

    def _waiting(self) -> str:
        assert self.future is not None
        if self.future.csr is None:
            return self.future.reason or self._asked()
        operation = self.future.operation
        if operation is not None and operation.is_to_external:
            return f"to be signed by the external CA, made {day_text(self.future.created_at)}"
        since = self.now - self.future.created_at
        return f"its key was made {ago_text(since)}" if since > LATE else ""

    def _asked(self) -> str:
        """Say when a server makes its key that was asked for a fresh one."""
        if not self.device.is_primary_server:
            return "it makes its key at its next refresh"
        return "" if self.device.is_alive(self.now) else "it makes its key when it is back"

    def _coming(self, operation: Operation) -> str:
        if self.is_late:
            return "switches when it is back"
        if operation.activated_at:
            return "is being put to use"
        if operation.is_held:
            return f"replaces {self.device.name} at the activation"
        return f"replaces {self.device.name} {self._when(operation.activate_at)}"

    def _when(self, at: datetime) -> str:
        words = short_text(at, now=self.now)
        return f"at {words}" if "," not in words else f"on {words}"

    def _at(self, at: datetime | None) -> str:
        return short_text(at, now=self.now) if at else ""


def server_rows(standing: Standing, *, may_manage: bool = False) -> list[ServerRow]:
    """Return a row for each Primary Server and Authentication Satellite, in four queries."""
    devices = Device.objects.filter(zone=standing.zone).active().tls_servers()
    servers = list(devices.select_related("heartbeat", "zone").order_by("kind", "name"))
    current, future = _certificates(servers)
    operation = standing.operation
    progress = {row.device_id: row for row in standing.progress}
    updates = _updates(servers, operation)
    authority = standing.authority
    return [
        ServerRow(
            device=server,
            now=standing.now,
            holds_ca=authority is not None and authority.is_role_of(server),
            is_ca_external=authority is not None and not authority.is_internal,
            current=current.get(server.pk),
            future=future.get(server.pk),
            operation=operation,
            update=updates.get(server.pk),
            progress=progress.get(server.pk),
            lacks=_lacks(future.get(server.pk), progress.get(server.pk)),
            may_manage=may_manage,
        )
        for server in servers
    ]


def _lacks(future: ServerCertificate | None, progress: ServerProgress | None) -> tuple[str, ...]:
    is_of_it = future is not None and progress is not None
    if not is_of_it or future.operation_id != progress.operation_id or progress.activated_at:  # type: ignore[union-attr]
        return ()
    return tuple(no_longer_covered(future, progress))  # type: ignore[arg-type]


def _certificates(
    servers: list[Device],
) -> tuple[dict[int, ServerCertificate], dict[int, ServerCertificate]]:
    """Return each server's certificate in use, and the one on its way."""
    shown = Q(state=State.CURRENT) | Q(state__in=COMING_STATES)
    rows = ServerCertificate.objects.filter(shown, device__in=servers)
    found = list(rows.defer("der", "intermediates").select_related("authority", "operation"))
    current = {row.device_id: row for row in found if row.state == State.CURRENT}
    return current, {row.device_id: row for row in found if row.is_coming}


def _updates(servers: list[Device], operation: Operation | None) -> dict[int, DeviceUpdate]:
    if operation is None:
        return {}
    rows = DeviceUpdate.objects.filter(update=operation.update_id, device__in=servers)
    return {row.device_id: row for row in rows}
