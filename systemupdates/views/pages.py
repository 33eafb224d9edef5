"""System Updates, Status by Device, the updates of one device, and the replication status."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from devices.models import Device, Zone
from devices.standing import standing
from systemupdates import actions, content_servers, overview, spreadsheet, stages, status_by_device
from systemupdates.forms import SelectedDevicesForm
from systemupdates.models import SystemUpdate
from systemupdates.models.replication import State as ReplicationState
from systemupdates.models.update import State
from zcc.ground import access, clock, dialogs, live, paging

HISTORY = 20


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show which updates are available, which are being deployed, and which were."""
    updates = list(SystemUpdate.objects.order_by("-pk")[:HISTORY])
    unfinished = set(overview.unfinished(SystemUpdate.objects.all()).values_list("pk", flat=True))
    devices, replicas = overview.count_devices(updates), overview.count_replicas(updates)
    shown = [(update, devices[update.pk], replicas[update.pk]) for update in updates]
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "available": [row for row in shown if row[0].state in (State.CREATED, State.REPLICATING)],
        "deploying": [row for row in shown if row[0].is_assigned and row[0].pk in unfinished],
        "history": [row for row in shown if row[0].pk not in unfinished],
        "stages": stages.in_order(get_object_or_404(Zone)),
        "is_live": bool(unfinished),
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
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "update": update,
        "listing": status_by_device.listing(update, request.GET.dict()),
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
    wanted = status_by_device.Wanted.read(request.GET.dict())
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
    return _act(request, pk, actions.redeploy, "start the update again at their next refresh")


@require_POST
@access.needs("deploy_updates")
def ignore_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave the chosen devices out of the update."""
    return _act(request, pk, actions.ignore, "are left out: they keep the trust they have")


@require_POST
@access.needs("deploy_updates")
def refresh_devices(request: HttpRequest, pk: int) -> HttpResponse:
    """The quick task `Refresh Device` for the chosen devices."""
    return _act(request, pk, actions.refresh_devices, "are asked to refresh")


def _act(request: HttpRequest, pk: int, action: Callable[..., int], done: str) -> HttpResponse:
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
    done: str,
    *,
    now: datetime,
) -> None:
    assert isinstance(request.user, User)
    try:
        number = action(update, devices, by=request.user, now=now)
    except actions.NotPossibleNow as error:
        messages.error(request, str(error))
        return
    if number:
        messages.success(request, f"{number} of {len(devices)} chosen devices {done}.")
    else:
        messages.warning(request, "None of the chosen devices is in a state in which it can.")


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
    context = {
        "section": "systemupdates",
        "now": clock.now(),
        "update": update,
        "rows": rows,
        "missing": missing,
        "excluded": content_servers.excluded_names(update.zone),
        "is_live": update.is_open and (missing or not rows),
        "back": resolve_url("systemupdates:index"),
    }
    return dialogs.show(request, "systemupdates/replication_status_dialog.html", None, context)


@require_safe
def of_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the Updates tab of a device: every update it had, with its steps."""
    now = clock.now()
    device = get_object_or_404(Device.objects.select_related("zone", "heartbeat"), pk=pk)
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "standing": standing(device, now=now),
        "tab": "updates",
        "history": overview.history(device, most=HISTORY),
    }
    return render(request, "systemupdates/of_device.html", context)
