"""Folders: the page with all of them, and the dialogs that make, change and fill them."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.forms import BaseForm, Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from devices import folders as tree
from devices import selecting
from devices.forms import FolderNameForm, MoveDevicesForm
from devices.models import Device, Folder, Zone
from zcc.ground import access, clock, dialogs
from zcc.templatetags.numbers import count


@require_safe
def folders(request: HttpRequest) -> HttpResponse:
    """List the folders with what they hold, and the refresh schedule of the zone and of each."""
    zone = get_object_or_404(Zone)
    context = {"section": "devices", "now": clock.now(), "zone": zone, "rows": tree.tree(zone)}
    return render(request, "devices/folders.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def create_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name of a new folder in this one."""
    parent = _folder(pk)
    form = FolderNameForm(request.POST or None)

    def create() -> str:
        made = tree.create(parent, form.cleaned_data["name"], by=request.user, now=clock.now())
        return f"{made.path} is created."

    return _ask(request, "create_folder", form, create, {"folder": parent})


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def rename_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another name for the folder."""
    folder = _folder(pk)
    form = FolderNameForm(request.POST or None, initial={"name": folder.name})

    def rename() -> str:
        old = folder.path
        new = tree.rename(folder, form.cleaned_data["name"], by=request.user, now=clock.now())
        return f"{old} is now {new.path}."

    context = {"folder": folder, "why_not": tree.why_not_changed(folder)}
    return _ask(request, "rename_folder", form, rename, context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def delete_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the empty folder is to go."""
    folder = _folder(pk)
    form = Form(request.POST if request.method == "POST" else None)

    def delete() -> str:
        tree.delete(folder, by=request.user, now=clock.now())
        return f"{folder.path} is deleted."

    context = {"folder": folder, "why_not": tree.why_not_deleted(folder)}
    return _ask(request, "delete_folder", form, delete, context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def move_devices(request: HttpRequest) -> HttpResponse:
    """Ask which folder the selected devices are to be put into."""
    zone = get_object_or_404(Zone)
    tree.ensure_roots(zone)
    devices = selecting.selected(request, zone)
    form = MoveDevicesForm(request.POST or None, devices=devices)

    def move() -> str:
        folder = form.cleaned_data["folder"]
        moved = tree.move(devices, folder, by=request.user, now=clock.now())
        return f"{moved} of {count(len(devices), 'chosen device')} moved to {folder.path}."

    why_not = _why_not_moved(devices)
    context = {"devices": devices, "why_not": why_not, "back": resolve_url("devices:index")}
    return _ask(request, "move_devices", form, move, context)


def _why_not_moved(devices: list[Device]) -> str:
    if why_not := selecting.why_not(devices):
        return why_not
    if len({device.folder_root for device in devices}) > 1:
        return (
            "The selected devices are of different kinds. Move servers, workstations and mobile "
            "devices each on their own."
        )
    return ""


def _folder(pk: int) -> Folder:
    return get_object_or_404(Folder.objects.select_related("zone"), pk=pk)


def _ask(
    request: HttpRequest,
    stem: str,
    form: BaseForm,
    act: Callable[[], str],
    context: dict[str, Any],
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks and say so, or why it cannot be."""
    back = context.get("back", resolve_url("devices:folders"))
    why_not = context.get("why_not", "")
    if form.is_bound and why_not:
        form.add_error(None, why_not)
    elif form.is_valid():
        try:
            done = act()
        except tree.NotPossible as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, done)
            return dialogs.close(to=back)
    shown = {"section": "devices", "now": clock.now(), "back": back, **context}
    return dialogs.show(request, f"devices/{stem}_dialog.html", form, shown)
