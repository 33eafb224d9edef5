"""Registration keys: who may join, and the commands with which a device does."""

import hashlib
from datetime import timedelta
from functools import cache

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agent import package, pem
from devices import actions
from devices.forms import RegistrationKeyForm
from devices.models import RegistrationKey, Zone
from zcc.ground import access, clock, dialogs, here, ports


@require_safe
def registration_keys(request: HttpRequest) -> HttpResponse:
    """List the keys with which devices can still join, and those that have ended."""
    now = clock.now()
    rows = RegistrationKey.objects.order_by("-created_at")
    context = {"section": "devices", "now": now, "keys": rows, **_how_to_join()}
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
            now=now,
        )
    context = {
        "section": "devices",
        "now": now,
        "key": key,
        "back": resolve_url("devices:registration_keys"),
        **_how_to_join(),
    }
    return dialogs.show(request, "devices/create_registration_key_dialog.html", form, context)


@require_POST
@access.needs("manage_devices")
def revoke_registration_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Let nobody join with this key any more; who has joined stays."""
    key = get_object_or_404(RegistrationKey, pk=pk)
    key.delete()
    messages.success(request, f"The registration key {key.name} is revoked.")
    return redirect("devices:registration_keys")


def _how_to_join() -> dict[str, str]:
    """Where this server offers the agent, and what a device is told to trust."""
    ca = here.home().read_file("security/ca.cert")
    address = here.identity().address
    return {
        "setup_url": ports.setup_url(address),
        "device_url": ports.device_url(address),
        "fingerprint": pem.fingerprint(ca) if ca else "",
        "agent_sha256": _agent_sha256(),
    }


@cache
def _agent_sha256() -> str:
    return hashlib.sha256(package.contents()).hexdigest()
