"""`Retire by itself`, `Retire rolled-back CA`, and the page `Certificate authorities`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from certificates import generations, retirement
from certificates.actions import retirements
from certificates.forms import RetireByItselfForm, RetireRolledBackCAForm
from certificates.models import Operation
from certificates.models.operation import State
from certificates.retirement import Retirement
from devices.models import Zone
from zcc.ground import access, clock, dialogs

PROPOSED_DAYS = 30


@require_safe
def authorities(request: HttpRequest) -> HttpResponse:
    """List every CA the zone has had, with what has become of its key."""
    now, zone = clock.now(), Zone.objects.first()
    context = {
        "section": "certificates",
        "now": now,
        "generations": generations.generations(zone, now=now) if zone else [],
        "identity_signers": generations.identity_signers(zone, now=now) if zone else [],
        "may_manage": access.has(request.user, "manage_certificates"),
    }
    return render(request, "certificates/authorities.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def retire_by_itself(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask after how many quiet days the old CA is to be retired by itself."""
    now, operation = clock.now(), _operation(pk)
    proposed = {
        "by_itself": operation.retire_after is not None,
        "days": operation.retire_after or PROPOSED_DAYS,
    }
    form = RetireByItselfForm(request.POST or None, user=request.user, initial=proposed)
    over = operation.state != State.OVERLAP

    def act() -> None:
        retirements.retire_by_itself(operation, after=form.after, by=request.user, now=now)

    context = {
        "why_not": "There is no overlap to end: the old CA is not waiting." if over else "",
        "waits": retirement.why_it_waits(operation),
    }
    return _ask(request, "retire_by_itself", operation, form, act, context, now=now)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def retire_rolled_back_ca(request: HttpRequest, pk: int) -> HttpResponse:
    """Show who trusts only the CA of a rolled-back operation, and ask whether it may end."""
    now, operation = clock.now(), _operation(pk)
    form = RetireRolledBackCAForm(request.POST or None, user=request.user)
    found = Retirement(operation, now=now)

    def act() -> None:
        retirements.retire_rolled_back_ca(operation, by=request.user, now=now)

    context = {"why_not": found.why_not_rolled_back, "retirement": found}
    return _ask(request, "retire_rolled_back_ca", operation, form, act, context, now=now)


# What the toast says, and where one goes on.
_DONE = {
    "retire_by_itself": ("The retirement is set.", "certificates:index"),
    "retire_rolled_back_ca": ("The rolled-back CA is retired.", "certificates:authorities"),
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
    said, back = _DONE[stem]
    if form.is_valid():
        try:
            act()
        except retirements.Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, said)
            return dialogs.close(to=back)
    values = {
        "section": "certificates",
        "now": now,
        "operation": operation,
        "back": resolve_url(back),
        **context,
    }
    return dialogs.show(request, f"certificates/{stem}_dialog.html", form, values)
