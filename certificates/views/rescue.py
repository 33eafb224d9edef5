"""The dialog `Rescue device`: the line that brings a device back which has lost its trust."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_safe

from certificates import updater_tool
from devices.models import Device
from zcc.ground import clock, dialogs


@require_safe
def rescue_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Show where the Certificate Updater Tool is, and the line to paste on the device."""
    device = get_object_or_404(Device.objects.select_related("zone"), pk=pk)
    now = clock.now()
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "why_not": _why_not(device),
        "back": resolve_url("devices:summary", device.pk),
    }
    if found := updater_tool.reachable(device.zone, now=now):
        context |= {"tool": found.tool, "url": found.url, "lines": found.lines}
    return dialogs.show(request, "certificates/rescue_device_dialog.html", context=context)


def _why_not(device: Device) -> str:
    if device.is_retired:
        return f"{device.name} is retired. Bring it back first."
    if device.is_mobile:
        return f"{device.name} is a mobile device: it gets another identity by a Re-enrolment link."
    if device.is_primary_server:
        return f"{device.name} is a Primary Server: its worker puts its trust in order by itself."
    return ""
