"""Registration keys: who may join, and the commands with which a device does."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from devices import actions, joining
from devices.forms import RegistrationKeyForm
from devices.models import RegistrationKey, Zone
from zcc.ground import access, clock, dialogs


@require_safe
def registration_keys(request: HttpRequest) -> HttpResponse:
    """List the keys with which devices can still join, and those that have ended."""
    now = clock.now()
    rows = RegistrationKey.objects.select_related("last_device").order_by("-created_at")
    context = {"section": "devices", "now": now, "keys": rows}
    return render(request, "devices/registration_keys.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def create_registration_key(request: HttpRequest) -> HttpResponse:
    """Make a key and show it, once, with the commands to copy."""
    zone, now = get_object_or_404(Zone), clock.now()
    form = RegistrationKeyForm(request.POST or None)
    key = ""
    if form.is_valid():
        key = actions.create_registration_key(
            zone,
            name=form.cleaned_data["name"],
            folder=form.cleaned_data["folder"],
            uses=form.cleaned_data["uses"],
            lifetime=timedelta(days=form.cleaned_data["days"]),
            by=request.user,
            now=now,
        )
    context = {
        "section": "devices",
        "now": now,
        "key": key,
        "lines": joining.lines(key) if key else "",
        "back": resolve_url("devices:registration_keys"),
    }
    return dialogs.show(request, "devices/create_registration_key_dialog.html", form, context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def revoke_registration_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then let nobody join with this key any more; who has joined stays."""
    key, now = get_object_or_404(RegistrationKey, pk=pk), clock.now()
    back = resolve_url("devices:registration_keys")
    if request.method == "POST":
        done = "revoked" if key.is_in_force(now) else "removed"
        actions.revoke_registration_key(key, by=request.user, now=now)
        messages.success(request, f"The registration key {key.name} is {done}.")
        return dialogs.close(to=back)
    context = {"section": "devices", "now": now, "key": key, "back": back}
    return dialogs.show(request, "devices/revoke_registration_key_dialog.html", None, context)
