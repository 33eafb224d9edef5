"""The dialogs `Satellite roles` of a device and `Retire` of a Primary Server."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from certificates.actions import primary_servers, roles
from certificates.actions.authorities import Refused
from certificates.forms.roles import RetirePrimaryServerForm, SatelliteRolesForm
from devices.models import Device
from zcc.ground import access, clock, dialogs
from zcc.templatetags.names import in_words


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def satellite_roles(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask which roles the device is to have."""
    device, now = get_object_or_404(Device.objects.select_related("zone"), pk=pk), clock.now()
    initial = {
        "content": device.is_content_satellite,
        "authentication": device.is_authentication_satellite,
    }
    form = SatelliteRolesForm(request.POST if request.method == "POST" else None, initial=initial)
    back = resolve_url("devices:summary", device.pk)
    if form.is_valid():
        try:
            roles.set_roles(device, **form.cleaned_data, by=request.user, now=now)
        except roles.Refused as error:
            form.add_error(None, str(error))
        else:
            had, has = device.roles, get_object_or_404(Device, pk=device.pk).roles
            messages.success(request, _told(device.name, had, has))
            return dialogs.close(to=back)
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "why_not": roles.why_not_changed(device),
        "back": back,
    }
    return dialogs.show(request, "certificates/satellite_roles_dialog.html", form, context)


def _told(name: str, had: list[str], has: list[str]) -> str:
    if has:
        word = "role" if len(has) == 1 else "roles"
        return f"{name} has the {word} {in_words(has)} from its next refresh on."
    if had:
        word = "role" if len(had) == 1 else "roles"
        return f"{name} gives up the {word} {in_words(had)} at its next refresh."
    return f"{name} has no Satellite role, as before."


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def retire_primary_server(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the Primary Server is to leave the zone."""
    server, now = get_object_or_404(Device.objects.select_related("zone"), pk=pk), clock.now()
    form = RetirePrimaryServerForm(request.POST or None, user=request.user)
    why_not = primary_servers.why_not_retired(server)
    back = resolve_url("devices:summary", server.pk)
    if form.is_bound and why_not:
        form.add_error(None, why_not)
    elif form.is_valid():
        try:
            primary_servers.retire(server, by=request.user, now=now)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{server.name} is retired.")
            return dialogs.close(to=back)
    context = {
        "section": "devices",
        "now": now,
        "server": server,
        "is_alive": server.is_alive(now),
        "why_not": why_not,
        "back": back,
    }
    return dialogs.show(request, "certificates/retire_primary_server_dialog.html", form, context)
