"""Deployment stages: the dialogs that make and change them, and the devices of one."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.forms import BaseForm, Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from devices import selecting
from devices.models import Device, Zone
from systemupdates import stages
from systemupdates.forms import AssignStageForm, StageNameForm
from systemupdates.models import DeploymentStage
from zcc.ground import access, clock, dialogs, paging
from zcc.templatetags.numbers import count


@require_safe
def stage(request: HttpRequest, pk: int) -> HttpResponse:
    """List the devices of a stage."""
    found = _stage(pk)
    members = found.members.filter(device__retired_at=None).select_related("device")
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "stage": found,
        "page": paging.cut(members, request.GET.dict(), key="device__name"),
    }
    return render(request, "systemupdates/stage.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def create_stage(request: HttpRequest) -> HttpResponse:
    """Ask for the name of a new stage."""
    zone = get_object_or_404(Zone)
    form = StageNameForm(request.POST or None)

    def create() -> str:
        made = stages.create(zone, form.cleaned_data["name"], by=request.user, now=clock.now())
        return f"The stage {made.name} is created."

    return _ask(request, "create_stage", form, create, {})


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def rename_stage(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another name for the stage."""
    found = _stage(pk)
    form = StageNameForm(request.POST or None, initial={"name": found.name})

    def rename() -> str:
        before = found.name
        stages.rename(found, form.cleaned_data["name"], by=request.user, now=clock.now())
        return f"The stage {before} is now {found.name}."

    return _ask(request, "rename_stage", form, rename, {"stage": found})


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def delete_stage(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the stage is to go; its devices stay."""
    found = _stage(pk)
    form = Form(request.POST if request.method == "POST" else None)

    def delete() -> str:
        stages.delete(found, by=request.user, now=clock.now())
        return f"The stage {found.name} is deleted."

    return _ask(request, "delete_stage", form, delete, {"stage": found})


@require_POST
@access.needs("deploy_updates")
def shift_stage(request: HttpRequest, pk: int) -> HttpResponse:
    """Move the stage one place forward or back."""
    found = _stage(pk)
    places = {"up": -1, "down": 1}.get(request.POST.get("to", ""), 0)
    by, now = request.user, clock.now()
    if not places or not stages.shift(found, places=places, by=by, now=now):
        messages.warning(request, f"The stage {found.name} stays where it is.")
    return redirect("systemupdates:index")


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def assign_stage(request: HttpRequest) -> HttpResponse:
    """Ask which stage the selected devices are to be in."""
    zone = get_object_or_404(Zone)
    devices = selecting.selected(request, zone)
    form = AssignStageForm(request.POST or None, zone=zone)

    def assign() -> str:
        chosen = form.cleaned_data["stage"]
        number = stages.assign(devices, chosen, by=request.user, now=clock.now())
        where = f"the stage {chosen.name}" if chosen else "no stage"
        return f"{count(number, 'device')} {'is' if number == 1 else 'are'} now in {where}."

    context = {
        "devices": devices,
        "why_not": _why_not_assigned(devices, zone),
        "back": resolve_url("devices:index"),
    }
    return _ask(request, "assign_stage", form, assign, context)


def _why_not_assigned(devices: list[Device], zone: Zone) -> str:
    if why_not := selecting.why_not(devices):
        return why_not
    return "" if zone.stages.exists() else "This zone has no stages. Create one first."


def _stage(pk: int) -> DeploymentStage:
    return get_object_or_404(DeploymentStage.objects.select_related("zone"), pk=pk)


def _ask(
    request: HttpRequest,
    stem: str,
    form: BaseForm,
    act: Callable[[], str],
    context: dict[str, Any],
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks and say so, or why it cannot be."""
    back = context.get("back", resolve_url("systemupdates:index"))
    if form.is_bound and context.get("why_not"):
        form.add_error(None, context["why_not"])
    elif form.is_valid():
        try:
            done = act()
        except stages.NotPossible as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, done)
            return dialogs.close(to=back)
    shown = {"section": "systemupdates", "now": clock.now(), "back": back, **context}
    return dialogs.show(request, f"systemupdates/{stem}_dialog.html", form, shown)
