"""The dialogs `Baseline` and `Delete`: an update comes to its end."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from systemupdates import actions, overview
from systemupdates.models import SystemUpdate
from zcc.ground import access, clock, dialogs

SHOWN = 6
Action = Callable[..., None]


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def baseline_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the update is done with, and close it."""
    update = _update(pk)
    return _ask(request, "baseline_update", update, actions.baseline, now=clock.now())


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def delete_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the baselined update may go, and delete its content everywhere."""
    update = _update(pk)
    return _ask(request, "delete_update", update, actions.delete, now=clock.now())


_DONE = {"baseline_update": "The update is baselined.", "delete_update": "The update is deleted."}


def _update(pk: int) -> SystemUpdate:
    return get_object_or_404(SystemUpdate.objects.select_related("zone"), pk=pk)


def _ask(
    request: HttpRequest, stem: str, update: SystemUpdate, act: Action, *, now: datetime
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks, or say why that cannot be done."""
    form = Form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            act(update, by=request.user, now=now)
        except actions.NotPossibleNow as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _DONE[stem])
            return dialogs.close(to="systemupdates:index")
    unfinished = overview.unfinished_devices(update)
    context: dict[str, Any] = {
        "section": "systemupdates",
        "now": now,
        "update": update,
        "unfinished": unfinished[:SHOWN],
        "number": unfinished.count(),
        "why_not": _WHY_NOT[stem](update),
        "back": resolve_url("systemupdates:index"),
    }
    return dialogs.show(request, f"systemupdates/{stem}_dialog.html", form, context)


_WHY_NOT = {"baseline_update": actions.why_not_baselined, "delete_update": actions.why_not_deleted}
