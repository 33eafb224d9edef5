"""System Updates, Status by Device, the updates of one device, and the replication status."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST, require_safe

from devices import page as device_page
from devices.models import Device, Zone
from systemupdates import (
    actions,
    chosen,
    content_servers,
    no_content,
    overview,
    spreadsheet,
    stages,
    status_by_device,
)
from systemupdates.forms import SelectedDevicesForm
from systemupdates.models import SystemUpdate
from systemupdates.models.replication import State as ReplicationState
from systemupdates.models.update import State
from zcc.ground import access, clock, dialogs, live, paging

HISTORY = 20  # of those that are over, the newest; all are on a page of their own
UNFINISHED = 20  # on a page


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show which updates are available, which are being deployed, and which were."""
    every = SystemUpdate.objects.all()
    unfinished, query = overview.unfinished(every), request.GET.dict()
    page = paging.cut(unfinished, query, key="created_at", descending=True, size=UNFINISHED)
    over = every.exclude(pk__in=unfinished.values("pk")).order_by("-pk")[:HISTORY]
    updates = [*page.rows, *over]
    devices = overview.with_baseline(overview.count_devices(updates), updates)
    replicas = overview.count_replicas(updates)
    going, ended = (
        [(update, devices[update.pk], replicas[update.pk]) for update in some]
        for some in (page.rows, updates[len(page.rows) :])
    )
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "page": page,
        "available": [row for row in going if row[0].state in (State.CREATED, State.REPLICATING)],
        "deploying": [row for row in going if row[0].is_assigned],
        "history": ended,
        "stages": stages.in_order(get_object_or_404(Zone)),
        "is_live": bool(going),
    }
    return live.show(
        request,
        page="systemupdates/index.html",
        part="systemupdates/_updates.html",
        context=context,
    )


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """Show every update that is over, the newest first: when, by whom, and what came of it."""
    over = SystemUpdate.objects.exclude(pk__in=overview.unfinished(SystemUpdate.objects.all()))
    page = paging.cut(over, request.GET.dict(), key="created_at", descending=True)
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "page": page,
        "rows": overview.deployments(page.rows),
    }
    return render(request, "systemupdates/history.html", context)


@require_safe
def status_of_devices(request: HttpRequest, pk: int) -> HttpResponse:
    """Show `Status by Device`; status, search, sorting and paging are in the address."""
    update = get_object_or_404(SystemUpdate.objects.select_related("zone"), pk=pk)
    now = clock.now()
    context = {
        "section": "systemupdates",
        "now": now,
        "update": update,
        "ended": overview.end_of(update),
        "listing": status_by_device.listing(update, request.GET.dict(), now=now),
    }
    return live.show(
        request,
        page="systemupdates/status_by_device.html",
        part="systemupdates/_device_rows.html",
        context=context,
    )


@require_safe
def download_status(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Give what the filters of `Status by Device` leave as a file for a spreadsheet."""
    update = get_object_or_404(SystemUpdate, pk=pk)
    wanted = status_by_device.Wanted.read(request.GET.dict(), update, now=clock.now())
    name = f"status-by-device-{update.pk}.csv"
    return StreamingHttpResponse(
        spreadsheet.lines(update, wanted),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_POST
@access.needs("deploy_updates")
def redeploy_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Start the update again on the chosen devices."""
    return _act(request, pk, chosen.redeploy, REDEPLOYED)


@require_POST
@access.needs("deploy_updates")
def ignore_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave the chosen devices out of the update."""
    return _act(request, pk, chosen.ignore, LEFT_OUT)


@require_POST
@access.needs("deploy_updates")
def refresh_devices(request: HttpRequest, pk: int) -> HttpResponse:
    """The quick task `Refresh Device` for the chosen devices."""
    return _act(request, pk, chosen.refresh_devices, ASKED)


class Done(NamedTuple):
    """What is said of one device, and of several; and why it was done to none of them."""

    one: str
    several: str
    why_none: Callable[[SystemUpdate, Sequence[Device]], str]
    why_others: Callable[..., str]  # for the update and the devices, `at` the time it was done
    warning: Callable[[SystemUpdate], str] = lambda update: ""


REDEPLOYED = Done(
    "starts the update again at its next refresh",
    "start the update again at their next refresh",
    chosen.why_none_redeployed,
    chosen.why_others_stay,
    no_content.warning,
)
LEFT_OUT = Done(
    "is left out: it keeps the trust it has, until you stop ignoring it",
    "are left out: they keep the trust they have, until you stop ignoring them",
    chosen.why_none_ignored,
    chosen.why_others_stay,
)
ASKED = Done(
    "is asked to refresh",
    "are asked to refresh",
    chosen.why_none_asked,
    chosen.why_others_not_asked,
)


def _act(request: HttpRequest, pk: int, action: Callable[..., int], done: Done) -> HttpResponse:
    """Do one of the two to the chosen devices, say what came of it, and go back."""
    update = get_object_or_404(SystemUpdate, pk=pk)
    form = SelectedDevicesForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for error in form.errors["device"]))
    else:
        _act_on(request, update, form.cleaned_data["device"], action, done, now=clock.now())
    return redirect(_way_back(request, update))


def _act_on(
    request: HttpRequest,
    update: SystemUpdate,
    devices: list[Device],
    action: Callable[..., int],
    done: Done,
    *,
    now: datetime,
) -> None:
    assert isinstance(request.user, User)
    try:
        number = action(update, devices, by=request.user, now=now)
    except actions.NotPossibleNow as error:
        messages.error(request, str(error))
        return
    if not number:
        messages.warning(request, done.why_none(update, devices))
        return
    said = f"{number} of {len(devices)} chosen devices {done.several}."
    if len(devices) == 1:
        said = f"{devices[0].name} {done.one}."
    elif why := done.why_others(update, devices, at=now):
        said += f" {why}"
    if done is LEFT_OUT:
        moved = chosen.left_out(update, devices, at=now)
        said = _with_undo(request, update, said, moved)
    messages.success(request, said, extra_tags="undo" if done is LEFT_OUT else "")
    if warning := done.warning(update):
        messages.warning(request, warning)


def _with_undo(
    request: HttpRequest, update: SystemUpdate, said: str, devices: list[Device]
) -> SafeString:
    """Return the sentence with a button that takes it back for these devices, and comes back."""
    back = _way_back(request, update)
    context = {"said": said, "update": update, "devices": devices, "back": back}
    return mark_safe(render_to_string("systemupdates/_left_out.html", context, request))


def _way_back(request: HttpRequest, update: SystemUpdate) -> str:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return resolve_url("systemupdates:status_by_device", update.pk)


@require_safe
def replication_status(request: HttpRequest, pk: int) -> HttpResponse:
    """Show which content server has the content; the dialog keeps itself current."""
    update = get_object_or_404(SystemUpdate.objects.select_related("zone"), pk=pk)
    rows = list(
        update.replications.filter(server__retired_at=None)
        .select_related("server")
        .order_by("server__kind", "server__name")
    )
    missing = [row for row in rows if row.state != ReplicationState.AVAILABLE]
    holding = {row.server.name for row in rows}
    excluded = content_servers.excluded_names(update.zone)
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "update": update,
        "rows": rows,
        "missing": missing,
        "excluded": [name for name in excluded if name not in holding],
        "kept": [name for name in excluded if name in holding],
        "is_live": update.is_open and (missing or not rows),
        "back": resolve_url("systemupdates:index"),
    }
    return dialogs.show(request, "systemupdates/replication_status_dialog.html", None, context)


@require_safe
def of_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the Updates tab of a device: every update it had, with its steps."""
    now = clock.now()
    device = get_object_or_404(Device.objects.select_related("zone", "heartbeat"), pk=pk)
    part = device_page.content(
        device,
        view="systemupdates:of_device",
        template="systemupdates/_of_device.html",
        now=now,
        more={"history": overview.history(device, most=HISTORY)},
    )
    if request.htmx:  # type: ignore[attr-defined]
        return live.answer(request, part)
    context = device_page.frame(request, device, tab="updates", now=now)
    context["content"] = live.render(request, part)
    return render(request, "devices/live_tab.html", context)
