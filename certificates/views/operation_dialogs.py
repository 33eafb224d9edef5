"""Dialogs about an operation: `Assign Now`, `Cancel`, `Clear message`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from certificates.actions import operations
from certificates.forms import PlainForm
from certificates.history import StandingOf
from certificates.models import Operation
from certificates.models.operation import State
from certificates.operation_message import cancel_button
from systemupdates.models import Replication
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def assign_now(request: HttpRequest, pk: int, *, back: str = "certificates:index") -> HttpResponse:
    """Ask whether to assign before every content server has the content."""
    now = clock.now()
    operation = _operation(pk)
    rows = Replication.objects.filter(update=operation.update, server__retired_at=None)
    missing = rows.missing().select_related("server").order_by("server__name")
    context = {
        "standing": StandingOf(operation, now=now),
        "missing": missing,
        "why_not": _why_not_assign(operation),
    }

    def assign() -> None:
        operations.assign_now(operation, by=request.user, now=now)

    return _confirm(request, "assign_now", operation, assign, context, now=now, back=back)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def assign_update_now(request: HttpRequest, update: int) -> HttpResponse:
    """Ask the same from System Updates, which knows its update and no operation."""
    operation = get_object_or_404(Operation, update=update)
    return assign_now(request, operation.pk, back="systemupdates:index")


def _why_not_assign(operation: Operation) -> str:
    if operation.state == State.PREPARING:
        return "The content of the update is not made yet. Try again in a few seconds."
    if operation.update.is_assigned:
        return "The update is assigned already."
    if operation.state != State.REPLICATING:
        return "The operation is over, or being taken back: nothing is assigned any more."
    return ""


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def cancel_operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to take the operation back."""
    now = clock.now()
    operation = _operation(pk)
    button = cancel_button(operation, now=now)
    why_not = button.why if button else operations.why_not_cancelled(operation, now=now)
    standing = StandingOf(operation, now=now)

    def cancel() -> None:
        operations.cancel(operation, by=request.user, now=now)

    context = {"standing": standing, "counts": standing.counts, "why_not": why_not}
    return _confirm(request, "cancel_operation", operation, cancel, context, now=now)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def clear_failure(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the message of a failure has been read, and put it away."""
    now, operation = clock.now(), _operation(pk)
    why_not = "" if operation.problem else "The message is cleared already."

    def clear() -> None:
        operations.clear_failure(operation, by=request.user, now=now)

    context = {"why_not": why_not}
    return _confirm(request, "clear_failure", operation, clear, context, now=now)


# What the toast says; that an operation is being canceled is the message of the pane itself.
_DONE = {
    "assign_now": "The update is assigned to all devices.",
    "clear_failure": "The message is cleared.",
}


def _operation(pk: int) -> Operation:
    rows = Operation.objects.select_related("zone", "update", "initiating_server", "new_ca")
    return get_object_or_404(rows, pk=pk)


def _confirm(
    request: HttpRequest,
    stem: str,
    operation: Operation,
    act: Callable[[], None],
    context: dict[str, Any],
    *,
    now: datetime,
    back: str = "certificates:index",
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks, or say why that cannot be done."""
    form = PlainForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            act()
        except operations.NotPossibleNow as error:
            form.add_error(None, str(error).removesuffix(" Nothing has changed."))
        else:
            if stem in _DONE:
                messages.success(request, _DONE[stem])
            return dialogs.close(to=back)
    values = {
        "section": "certificates",
        "now": now,
        "operation": operation,
        "back": resolve_url(back),
        **context,
    }
    return dialogs.show(request, f"certificates/{stem}_dialog.html", form, values)
