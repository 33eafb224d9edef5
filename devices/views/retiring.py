"""The dialogs `Retire` and `Bring back`: a device leaves every count, and comes back."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from devices import retirement
from devices.actions import NotPossibleNow
from devices.models import Device
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def retire_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the device is to leave every count and operation."""
    return _ask(request, "retire_device", _device(pk), retirement.retire, now=clock.now())


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def bring_back_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the retired device is to count again."""
    return _ask(request, "bring_back_device", _device(pk), retirement.bring_back, now=clock.now())


_WHY_NOT = {
    "retire_device": retirement.why_not_retired,
    "bring_back_device": retirement.why_not_brought_back,
}
_DONE = {"retire_device": "is retired.", "bring_back_device": "is back and counts again."}


def _device(pk: int) -> Device:
    return get_object_or_404(Device.objects.select_related("zone"), pk=pk)


def _ask(
    request: HttpRequest, stem: str, device: Device, act: Callable[..., None], *, now: datetime
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks, or say why that cannot be done."""
    form = Form(request.POST if request.method == "POST" else None)
    summary = resolve_url("devices:summary", device.pk)
    if form.is_valid():
        try:
            act(device, by=request.user, now=now)
        except NotPossibleNow as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{device.name} {_DONE[stem]}")
            return dialogs.close(to=summary)
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "why_not": _WHY_NOT[stem](device),
        "back": summary,
    }
    return dialogs.show(request, f"devices/{stem}_dialog.html", form, context)
