"""Dialogs in which an administrator decides about an operation: postpone, sign off, roll back."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from certificates import activation, forecast_view, guard
from certificates.actions import decisions
from certificates.devices_left_behind import LeftBehind
from certificates.forms import ActivationTimeForm, PostponeForm, RollBackForm, SignOffForm
from certificates.history import StandingOf
from certificates.models import Operation
from certificates.views import activation_time
from zcc.ground import access, clock, dialogs

PROPOSED = 3  # days


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def postpone(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another time of activation."""
    now, operation = clock.now(), _operation(pk)
    days = _days(request)
    proposed = timezone.localtime(max(operation.activate_at, now) + timedelta(days=days))
    form = PostponeForm(
        request.POST or None,
        now=now,
        initial={"activation_date": proposed.date(), "activation_time": proposed.time()},
    )

    def act() -> None:
        to = form.cleaned_data["activate_at"]
        decisions.postpone(operation, to=to, by=request.user, now=now)

    context = {
        "why_not": decisions.why_not_postponed(operation),
        "later": forecast_view.LATER,
        "days": days,
        **_then(operation, form.initial if not form.is_bound else form.data, now=now),
    }
    return _ask(request, "postpone", operation, form, act, context, now=now)


def _days(request: HttpRequest) -> int:
    """By how many days the dialog proposes to postpone."""
    asked = request.GET.get("days", "")
    return next((days for days in forecast_view.LATER if str(days) == asked), PROPOSED)


@require_safe
@access.needs("manage_certificates")
def postpone_time(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what the date and time that stand in the dialog right now would mean."""
    now, operation = clock.now(), _operation(pk)
    context = {"operation": operation, "now": now, **_then(operation, request.GET, now=now)}
    return render(request, "certificates/_postpone_time.html", context)


def _then(operation: Operation, typed: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The chosen time spelled out, what follows from it, and who would be lost when."""
    form = ActivationTimeForm(typed, now=now)
    if not form.is_valid():
        return {"consequence": "Choose a date and a time."}
    when = form.cleaned_data["activate_at"]
    return {
        "spelled_out": activation.spelled_out(when, zone=form.zone_of_time),
        "consequence": activation.consequence(when, operation.old_ca, now=now),
        "then": forecast_view.lost_at(operation, when, now=now),
        "looked_at": when,
        "foreseen": forecast_view.of_operation(operation),
        "is_old": activation_time.looked_at_anew(operation.zone, operation, now=now),
    }


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def sign_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Show exactly who would be lost, and ask why that is acceptable."""
    now, operation = clock.now(), _operation(pk)
    lost = guard.why_lost(guard.lost(operation), operation)
    shown = ",".join(str(entry.device.pk) for entry in lost)
    form = SignOffForm(request.POST or None, user=request.user, initial={"devices": shown})

    def act() -> None:
        decisions.sign_off(
            operation,
            form.cleaned_data["devices"],
            reason=form.cleaned_data["reason"],
            by=request.user,
            now=now,
        )

    context = {"why_not": decisions.why_not_signed_off(operation), "lost": lost, "shown": shown}
    return _ask(request, "sign_off", operation, form, act, context, now=now)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def roll_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what going back means for whom, and ask why."""
    now, operation = clock.now(), _operation(pk)
    form = RollBackForm(request.POST or None, user=request.user)

    def act() -> None:
        reason = form.cleaned_data["reason"]
        decisions.roll_back(operation, reason=reason, by=request.user, now=now)

    context = {
        "why_not": decisions.why_not_rolled_back(operation),
        "trust": LeftBehind(operation),
        "standing": StandingOf(operation, now=now),
    }
    return _ask(request, "roll_back", operation, form, act, context, now=now)


# What the toast says; that it is rolled back is the message of the pane itself.
_DONE = {
    "postpone": "The activation is postponed.",
    "sign_off": "The devices are signed off.",
}


def _operation(pk: int) -> Operation:
    rows = Operation.objects.select_related("zone", "update", "old_ca", "new_ca")
    return get_object_or_404(rows, pk=pk)


def _ask(
    request: HttpRequest,
    stem: str,
    operation: Operation,
    form: Form,
    act: Callable[[], None],
    context: dict[str, Any],
    *,
    now: datetime,
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks, or say why that cannot be done."""
    if form.is_valid():
        try:
            act()
        except decisions.NotPossibleNow as error:
            form.add_error(None, str(error).removesuffix(" Nothing has changed."))
        else:
            if stem in _DONE:
                messages.success(request, _DONE[stem])
            return dialogs.close(to="certificates:index")
    values = {
        "section": "certificates",
        "now": now,
        "operation": operation,
        "back": resolve_url("certificates:index"),
        **context,
    }
    return dialogs.show(request, f"certificates/{stem}_dialog.html", form, values)
