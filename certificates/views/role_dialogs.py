"""The dialog `Satellite roles` of a device."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from certificates.actions import roles
from certificates.forms.roles import SatelliteRolesForm
from devices.models import Device
from zcc.ground import access, clock, dialogs


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
            messages.success(request, f"{device.name} takes its roles up at its next refresh.")
            return dialogs.close(to=back)
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "why_not": roles.why_not_changed(device),
        "back": back,
    }
    return dialogs.show(request, "certificates/satellite_roles_dialog.html", form, context)
