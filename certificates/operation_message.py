"""What the pane says of the operation: one sentence, who and when, and the button `Cancel`."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from certificates import links, preparing
from certificates.actions.decisions import why_not_rolled_back
from certificates.models import Operation
from certificates.models.operation import CANCELLABLE_STATES, OPEN_STATES, State
from certificates.standing import Standing
from certificates.wording import (
    follows,
    listed,
    name_of,
    short_text,
    state_word,
    to_the_second,
)
from devices.models import Device
from zcc.templatetags.numbers import count
from zcc.templatetags.times import moment_text, span
from zcc.templatetags.words import family, word_icon


@dataclass(frozen=True)
class Cancel:
    """The button `Cancel`: why it is disabled (nothing: it is not), and what stands under it."""

    why: str
    note: str


@dataclass(frozen=True)
class Message:
    """The head of the operation message."""

    family: str
    icon: str
    headline: str
    detail: str
    # None: the operation is past the point where a Cancel is thought of.
    cancel: Cancel | None
    can_retire: bool = False
    # Postpone, and Sign off if somebody would be lost.
    can_decide: bool = False
    # Of an operation in Overlap: why it cannot be rolled back now.
    why_not_roll_back: str = ""
    # The headline counts down to this.
    activate_at: datetime | None = None

    @property
    def activates(self) -> str:
        """When it activates, to the second."""
        return to_the_second(self.activate_at) if self.activate_at else ""


def message(standing: Standing) -> Message:
    """Return the message of the zone's operation; it must have one."""
    operation = standing.operation
    assert operation is not None
    word = state_word(operation)
    return Message(
        family="warn" if operation.state == State.CANCEL_FAILED else family(word),
        icon="arrow-repeat"
        if operation.state in CANCELLABLE_STATES and word != "Held"
        else word_icon(word),
        headline=headline(operation),
        detail=_of_immediate(standing)
        if operation.is_immediate and operation.state in _IMMEDIATE_AFTER
        else _detail(standing, operation),
        cancel=cancel_button(operation, now=standing.now),
        can_retire=operation.state == State.OVERLAP,
        why_not_roll_back=why_not_rolled_back(operation)
        if operation.state == State.OVERLAP
        else "",
        can_decide=operation.state in CANCELLABLE_STATES and not operation.is_immediate,
        activate_at=operation.activate_at if operation.state == State.ARMED else None,
    )


def headline(operation: Operation) -> str:
    """Return the one sentence that says where the operation stands."""
    name = operation.get_kind_display()
    if operation.is_held and operation.state in CANCELLABLE_STATES:
        return f"The {name} operation is held. It does not activate by itself."
    if operation.is_immediate and operation.state in _IMMEDIATE_AFTER:
        return "The new CA is active. The old one had expired."
    return {
        State.ARMED: "The new CA becomes active",
        State.ACTIVATING: "The new CA is active. The servers switch to their new certificates.",
        State.OVERLAP: "The new CA is active. The old one stays trusted beside it.",
        State.COMPLETED: "The new CA is active, the old one is retired.",
        State.CANCELLING: f"The {name} operation is being canceled.",
        State.CANCEL_FAILED: f"{name} could not be canceled.",
        State.CANCELLED: f"The {name} operation was canceled.",
        State.FAILED: f"The {name} operation could not begin.",
        State.ROLLING_BACK: "The old CA is active again. The servers go back to it.",
        State.ROLLED_BACK: f"The {name} operation was rolled back. The old CA is active again.",
    }.get(State(operation.state), f"The {name} operation has been initiated.")


# After the servers have switched: the update is on its way, then the devices come for it.
_IMMEDIATE_AFTER = (State.REPLICATING, State.ASSIGNED, State.OVERLAP)


def _of_immediate(standing: Standing) -> str:
    servers = count(len(standing.progress), "server")
    return (
        f"{standing.how_many('activated_at')} of {servers} show the new certificate. A device that "
        "runs comes in by the rescue port at its next refresh; any other needs the Certificate "
        "Updater Tool."
    )


def _detail(standing: Standing, operation: Operation) -> str:
    if operation.state in CANCELLABLE_STATES:
        return _getting_ready(standing, operation)
    servers = count(len(standing.progress), "server")
    match operation.state:
        case State.ARMED:
            return (
                f"{standing.how_many('armed_at')} of {servers} hold the signed go-ahead and switch "
                "by themselves, even if database and network are away."
            )
        case State.ACTIVATING:
            return f"{standing.how_many('activated_at')} of {servers} show the new certificate."
        case State.OVERLAP:
            by = f"{operation.get_kind_display()} by {name_of(operation.created_by)}"
            return f"{by}. {_how_late_ones_come_in(operation)}"
        case State.ROLLING_BACK:
            return (
                f"{standing.how_many('rolled_back_at')} of {servers} show the old certificate "
                f"again. The new CA stays trusted; devices that know only it {_carried(operation)}."
            )
        case State.CANCELLING:
            return _cleaning(standing)
        case State.CANCEL_FAILED:
            return (
                "Not every server has confirmed that it removed what the operation left. "
                "Nothing live has changed. Cancel it again."
            )
    return f"{_by(operation)}."


def _how_late_ones_come_in(operation: Operation) -> str:
    if operation.is_same_root:
        return "The root is the one that devices trusted before, so none has to learn anything."
    if links.carrier(operation) is not None:
        return (
            "Servers send the link, so a device that slept through the activation still connects, "
            "and catches up at its next refresh."
        )
    return (
        "No link is possible from the old CA, so a device that slept through the activation comes "
        "in by the rescue port, and catches up there."
    )


def _carried(operation: Operation) -> str:
    if links.bridge(operation) is not None:
        return "are carried by a link"
    return "come in by the rescue port"


def _by(operation: Operation) -> str:
    return f"By {name_of(operation.created_by)}, {moment_text(operation.created_at)}"


def _getting_ready(standing: Standing, operation: Operation) -> str:
    if operation.is_held:
        return f"{operation.held_reason} As soon as that is mended, {follows()}."
    if operation.problem:
        problem = f"It could not go on: {operation.problem}"
        return f"{_by(operation)}. {problem} It is tried again by itself."
    if waiting := preparing.waits_for(operation):
        return f"{_by(operation)}. {_waiting(waiting, now=standing.now)}"
    to = count(standing.devices, "device")
    update = f"A system update carries the new CA to {to}."
    if operation.is_same_root:
        update = "Only the servers' certificates change: every device trusts this CA already."
    where = operation.initiating_server.name
    return f"{_by(operation)}, on {where}. {update} Nothing live has changed yet."


def _waiting(servers: list[Device], *, now: datetime) -> str:
    """Say which servers must do something with their keys first, and whether they can."""
    names = listed([server.name for server in servers])
    away = [server.name for server in servers if not server.is_alive(now)]
    if away:
        return (
            f"It waits for {names}, where a key is that it needs. {listed(away)} does not answer: "
            "start it, or cancel the operation."
        )
    return f"It waits for {names}, where a key is that it needs."


def _cleaning(standing: Standing) -> str:
    """Say of each server whether it has removed what the operation left."""
    clean = [row.device.name for row in standing.progress if row.cleaned_at]
    waiting = [row for row in standing.progress if row.cleaned_at is None]
    late = {device.pk for device in standing.late_servers}
    asked = [
        row.device.name
        for row in waiting
        if row.device.is_primary_server and row.device_id not in late
    ]
    away = [row.device.name for row in waiting if row.device_id in late]
    satellites = [row.device.name for row in waiting if not row.device.is_primary_server]
    said = [f"{listed(clean)} removed what it left." if clean else ""]
    verb = "is" if len(asked) == 1 else "are"
    said.append(f"{listed(asked)} {verb} removing what the operation left." if asked else "")
    verb = "does" if len(satellites) == 1 else "do"
    said.append(f"{listed(satellites)} {verb} at the next refresh." if satellites else "")
    said.append(f"{listed(away)} does when it is back." if away else "")
    return " ".join(
        sentence for sentence in [*said, "The zone goes on with the CA it has."] if sentence
    )


def cancel_button(operation: Operation, *, now: datetime) -> Cancel | None:
    """Return the button `Cancel` as it is now, None where there is none."""
    if operation.state not in OPEN_STATES or operation.state == State.ROLLING_BACK:
        return None
    until = short_text(operation.cutoff_at, now=now)
    if operation.can_cancel(now):
        is_open_end = operation.is_held or operation.is_immediate
        if is_open_end or operation.state == State.CANCEL_FAILED:
            return Cancel("", "possible now")
        return Cancel("", f"possible until {until}")
    if operation.state == State.CANCELLING:
        return Cancel("The operation is being canceled already.", "")
    if operation.activated_at is not None:
        return Cancel("The new CA is active. The operation can no longer be canceled.", "")
    cutoff = span(settings.ZCC_CANCEL_CUTOFF)
    why = f"It activates in less than {cutoff}: the servers may be armed."
    return Cancel(f"{why} It can no longer be canceled.", f"was possible until {until}")
