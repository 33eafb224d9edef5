"""The dialogs for the refresh schedule: of the zone, of a folder, of a device."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from devices import schedules
from devices.forms import ScheduleForm
from devices.models import Device, Folder, Schedule, Zone, schedule_of
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def zone_schedule(request: HttpRequest) -> HttpResponse:
    """Ask how often the agents of the zone refresh."""
    zone, now = get_object_or_404(Zone), clock.now()

    def save(interval: timedelta | None, tell: bool) -> None:
        assert interval is not None  # the zone inherits from nobody
        schedules.set_for_zone(zone, interval, tell=tell, by=request.user, now=now)

    return _ask(request, save, of=zone.name, own=zone.refresh_interval)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def folder_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask how often the agents in a folder refresh, or that they inherit it."""
    folder, now = get_object_or_404(Folder.objects.select_related("zone"), pk=pk), clock.now()
    zone = folder.zone
    inherited = schedule_of(folder.parent, zone, zone.folders.intervals())

    def save(interval: timedelta | None, tell: bool) -> None:
        schedules.set_for_folder(folder, interval, tell=tell, by=request.user, now=now)

    return _ask(request, save, of=folder.path, own=folder.refresh_interval, inherited=inherited)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def device_schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask how often the agent of a device refreshes, or that it inherits it."""
    device, now = get_object_or_404(Device.objects.select_related("zone"), pk=pk), clock.now()

    def save(interval: timedelta | None, tell: bool) -> None:
        schedules.set_for_device(device, interval, by=request.user, now=now)

    return _ask(
        request,
        save,
        of=device.name,
        own=device.refresh_interval,
        inherited=device.inherited_schedule(),
        why_not=schedules.why_not(device),
        back=resolve_url("devices:settings", device.pk),
    )


def _ask(
    request: HttpRequest,
    save: Callable[[timedelta | None, bool], None],
    *,
    of: str,
    own: timedelta | None,
    inherited: Schedule | None = None,
    why_not: str = "",
    back: str = "",
) -> HttpResponse:
    """Show the dialog; when it is submitted save the schedule and go back."""
    now_in_force = own or (inherited.interval if inherited else timedelta(hours=12))
    initial = {**ScheduleForm.initial_of(now_in_force), "override": own is not None}
    form = ScheduleForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        can_inherit=inherited is not None,
        can_tell=not back,
    )
    if form.is_bound and why_not:
        form.add_error(None, why_not)
    elif form.is_valid():
        save(form.cleaned_data["interval"], form.cleaned_data.get("tell", False))
        messages.success(request, f"The refresh schedule of {of} is saved.")
        return dialogs.close(to=back or "devices:folders")
    context: dict[str, Any] = {
        "section": "devices",
        "now": clock.now(),
        "of": of,
        "inherited": inherited,
        "why_not": why_not,
        "back": back or resolve_url("devices:folders"),
        "back_to": of if back else "Folders",
    }
    return dialogs.show(request, "devices/refresh_schedule_dialog.html", form, context)
