"""Content replication: its settings, its servers, and each content item on each of them."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from devices.forms import ScheduleForm
from devices.models import Device, Zone
from systemupdates import content_servers, rounds
from systemupdates.forms import ReplicationSettingsForm
from systemupdates.models import Replication, ReplicationSettings
from systemupdates.models.replication import State
from zcc.ground import access, clock, dialogs, live, paging


@require_safe
def content(request: HttpRequest) -> HttpResponse:
    """Show the schedule, who takes part, and how far each content item is on each server."""
    zone, now = get_object_or_404(Zone), clock.now()
    items = Replication.objects.filter(server__retired_at=None)
    items = items.select_related("server", "update")
    page = paging.cut(items, request.GET.dict(), key="update__created_at", descending=True)
    context = {
        "section": "systemupdates",
        "now": now,
        "zone": zone,
        "settings": ReplicationSettings.objects.filter(zone=zone).first(),
        "time_zone": timezone.get_default_timezone_name(),
        "times_here": _times_here(zone, now=now),
        "next_round": rounds.next_round(zone, after=now),
        "servers": content_servers.rows(zone),
        "page": page,
        "is_live": any(row.state != State.AVAILABLE for row in page.rows),
    }
    return live.show(
        request,
        page="systemupdates/content.html",
        part="systemupdates/_content.html",
        context=context,
    )


def _times_here(zone: Zone, *, now: datetime) -> str:
    """Return the fixed times where the administrator is; nothing where they are the same."""
    times = rounds.todays_times(zone, now=now)
    here = [timezone.localtime(at) for at in times]
    if not times or [at.utcoffset() for at in here] == [at.utcoffset() for at in times]:
        return ""
    return f"{', '.join(f'{at:%H:%M}' for at in here)} {here[0]:%Z}"


@require_http_methods(["GET", "POST"])
@access.needs("deploy_updates")
def replication_settings(request: HttpRequest) -> HttpResponse:
    """Ask when content servers look for content, and how fast they fetch it."""
    zone, now = get_object_or_404(Zone), clock.now()
    settings = ReplicationSettings.objects.filter(zone=zone).first()
    initial = {
        "mode": "times" if settings and settings.fixed_times else "interval",
        **ScheduleForm.initial_of(zone.replication_interval),
        "times": ", ".join(settings.fixed_times) if settings else "",
        "throttle": settings.throttle if settings else None,
    }
    form = ReplicationSettingsForm(request.POST or None, initial=initial)
    if form.is_valid():
        content_servers.save_settings(
            zone,
            interval=form.interval,
            fixed_times=form.fixed_times,
            throttle=form.cleaned_data["throttle"],
            by=request.user,
            now=now,
        )
        messages.success(request, "The settings of content replication are saved.")
        return dialogs.close(to="systemupdates:content")
    context = {
        "section": "systemupdates",
        "now": now,
        "time_zone": timezone.get_default_timezone_name(),
        "back": resolve_url("systemupdates:content"),
    }
    template = "systemupdates/replication_settings_dialog.html"
    return dialogs.show(request, template, form, context)


@require_POST
@access.needs("deploy_updates")
def exclude_server(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the server fetch no content any more."""
    server = get_object_or_404(Device, pk=pk)
    try:
        content_servers.exclude(server, by=request.user, now=clock.now())
    except content_servers.NotPossible as error:
        messages.error(request, f"{error} Nothing has changed.")
    else:
        messages.success(request, f"{server.name} is excluded: no update waits for it.")
    return redirect("systemupdates:content")


@require_POST
@access.needs("deploy_updates")
def include_server(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the server take part in replication again."""
    server = get_object_or_404(Device.objects.select_related("zone"), pk=pk)
    content_servers.include(server, by=request.user, now=clock.now())
    messages.success(request, f"{server.name} is included: it fetches what it lacks.")
    return redirect("systemupdates:content")


@require_POST
@access.needs("deploy_updates")
def replicate_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the server look for this content at once."""
    row = get_object_or_404(Replication.objects.select_related("server", "update"), pk=pk)
    try:
        content_servers.replicate_now(row, by=request.user, now=clock.now())
    except content_servers.NotPossible as error:
        messages.warning(request, f"{error} Nothing has changed.")
    else:
        messages.success(request, f"{row.server.name} fetches the content now.")
    return redirect("systemupdates:content")
