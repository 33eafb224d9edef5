"""The dialog `Enrol device`: the lines to paste, and whether the device has appeared."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from devices import actions, joining
from devices.forms import EnrolDeviceForm
from devices.models import Device, RegistrationKey, Zone
from zcc.ground import access, clock, dialogs

LIFETIME = timedelta(days=1)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def enrol_device(request: HttpRequest) -> HttpResponse:
    """Make a key for one device and show, once, the lines to paste on it."""
    zone, now = get_object_or_404(Zone), clock.now()
    form = EnrolDeviceForm(request.POST or None)
    context = {"section": "devices", "now": now, "back": resolve_url("devices:index")}
    if form.is_valid():
        known = Device.objects.filter(zone=zone, name=form.cleaned_data["name"]).first()
        if error := _why_not_this_name(form.cleaned_data, known, now=now):
            form.add_error("name", error)
    if form.is_valid():
        name, kind = form.cleaned_data["name"], form.cleaned_data["kind"]
        key = actions.create_registration_key(
            zone,
            name=name or "for one device",
            folder=form.cleaned_data["folder"],
            uses=1,
            lifetime=LIFETIME,
            replaces=known if form.cleaned_data["replaces"] else None,
            by=request.user,
            now=now,
        )
        context |= {
            "lines": joining.lines(key, name=name, kind=kind),
            "key": RegistrationKey.objects.get(key_hash=actions.hash_secret(key)),
        }
    return dialogs.show(request, "devices/enrol_device_dialog.html", form, context)


def _why_not_this_name(wanted: Mapping[str, Any], known: Device | None, *, now: datetime) -> str:
    """Return why a device cannot join under the name, nothing if it can."""
    if wanted["replaces"] and known is None:
        return "There is no device of this name to replace."
    if known is None:
        return ""
    if known.is_primary_server:
        return f"{known.name} is a Primary Server. Choose another name."
    if known.is_retired:
        return f"{known.name} is retired. Bring it back first."
    if wanted["replaces"] or not actions.was_just_heard(known, now=now):
        return ""
    return (
        f"{known.name} is in contact. Choose another name; or, if it was installed again, tick "
        "that it replaces it."
    )


@require_safe
@access.needs("manage_devices")
def enrolled_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer whether the device has joined with the key that was made for it."""
    key = RegistrationKey.objects.select_related("last_device").filter(pk=pk).first()
    return render(request, "devices/_enrolled_device.html", {"key": key, "now": clock.now()})
