"""The pages of Configuration > Certificates and the parts of them that keep themselves current."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_safe

from certificates import forecast_view, updater_tool
from certificates.answers import answers
from certificates.attention import NeedsAttention
from certificates.buttons import NO_RIGHT, ca_buttons
from certificates.device_certificates import DeviceCertificates
from certificates.devices_at_risk import at_risk
from certificates.history import History, StandingOf
from certificates.models import EvidencePack, Operation, Rehearsal
from certificates.operation_message import message
from certificates.server_actions import server_actions
from certificates.server_rows import ServerRow, server_rows
from certificates.standing import Standing
from certificates.timeline import Timeline
from certificates.todo import todo
from devices import page as device_page
from devices.models import Device, Zone
from zcc.ground import access, clock, live, paging
from zcc.ground.live import Part

ALL_COLUMNS = "all"
REHEARSALS = 20
_MOBILES = reverse_lazy("certificates:mobiles_to_enrol")


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show both panes."""
    zone = Zone.objects.first()
    now = clock.now()
    context: dict[str, object] = {"section": "certificates", "now": now, "zone": zone}
    if zone is not None:
        standing = Standing(zone, now=now)
        rows = _rows(request, standing)
        context["ca_pane"] = live.render(request, _ca_part(request, standing, rows))
        context["servers_pane"] = live.render(request, _servers_part(request, standing, rows))
    return render(request, "certificates/index.html", context)


@require_safe
def ca_pane(request: HttpRequest) -> HttpResponse:
    """Answer with the three answers and the pane `Zone Certificate Authority`, if they are new."""
    standing = Standing(get_object_or_404(Zone), now=clock.now())
    return live.answer(request, _ca_part(request, standing, _rows(request, standing)))


@require_safe
def servers_pane(request: HttpRequest) -> HttpResponse:
    """Answer with the pane `ZENworks Server SSL Certificates`, if it is new."""
    standing = Standing(get_object_or_404(Zone), now=clock.now())
    return live.answer(request, _servers_part(request, standing, _rows(request, standing)))


def _rows(request: HttpRequest, standing: Standing) -> list[ServerRow]:
    return server_rows(standing, may_manage=access.has(request.user, "manage_certificates"))


def _ca_part(request: HttpRequest, standing: Standing, rows: list[ServerRow]) -> Part:
    risk = at_risk(standing)
    may_manage = access.has(request.user, "manage_certificates")
    buttons = ca_buttons(standing, request.user)
    named = {button.id: button for button in buttons}
    said = answers(standing, rows, risk, NeedsAttention(standing))
    backup = named.get("backup-ca")
    context = {
        "standing": standing,
        "now": standing.now,
        "answers": said,
        # Said once, by the third answer, while nothing is going on.
        "backup_first": bool(
            standing.needs_backup
            and (standing.operation or backup is None or said.next.url != backup.url)
        ),
        # Said once, too.
        "mobiles": standing.mobiles_to_enrol if said.next.url != _MOBILES else None,
        "buttons": [button for button in buttons if not button.is_rare],
        "rare_buttons": [button for button in buttons if button.is_rare],
        "rehearsal": Rehearsal.objects.filter(zone=standing.zone).open().first(),
        "backup": backup,
        "restore": named.get("restore-ca"),
        "at_risk": risk,
        "lost": standing.lost,
        "outlook": outlook(standing.operation, now=standing.now),
        "message": message(standing) if standing.operation else None,
        "updater": updater_tool.shown(standing.operation) if standing.operation else None,
        "steps": Timeline(standing).steps() if standing.operation else [],
        "todo": todo(standing),
        "may_manage": may_manage,
        "no_right": NO_RIGHT,
    }
    return Part(
        id="ca-pane",
        url=reverse("certificates:ca_pane"),
        template="certificates/_ca_pane.html",
        context=context,
        seconds=live.QUICK if standing.is_moving else live.STEADY,
    )


def outlook(operation: Operation | None, *, now: datetime) -> forecast_view.Outlook | None:
    """Return what is foreseen of an operation, None when nothing is, or nothing will happen."""
    if operation is None or operation.is_taken_back or operation.update.is_closed:
        return None
    forecast = forecast_view.of_operation(operation)
    if forecast is None:
        return None
    return forecast_view.Outlook(forecast, operation, now=now)


def _servers_part(request: HttpRequest, standing: Standing, rows: list[ServerRow]) -> Part:
    shows_all = request.GET.get("columns") == ALL_COLUMNS
    query = {"columns": ALL_COLUMNS} if shows_all else {}
    renews = any(row.is_being_renewed for row in rows)
    return Part(
        id="servers-pane",
        url=live.address("certificates:servers_pane", query),
        template="certificates/_servers_pane.html",
        context={
            "rows": rows,
            "now": standing.now,
            "shows_all": shows_all,
            "actions": server_actions(standing.zone, request.user, now=standing.now),
        },
        seconds=live.QUICK if standing.is_moving or renews else live.STEADY,
    )


@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """List the zone's operations, newest first."""
    rows = Operation.objects.select_related("created_by", "initiating_server")
    page = paging.cut(rows, request.GET.dict(), key="created_at", descending=True)
    rehearsed = Rehearsal.objects.select_related("created_by", "server").order_by("-pk")
    context = {
        "section": "certificates",
        "now": clock.now(),
        "page": page,
        "rehearsals": rehearsed[:REHEARSALS],
    }
    return render(request, "certificates/operations.html", context)


@require_safe
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what an operation is, where it stands, and everything that happened in it."""
    now = clock.now()
    found = _operation(pk)
    part = _operation_part(request, found, now=now)
    if request.htmx:  # type: ignore[attr-defined]
        return live.answer(request, part)
    context = {"section": "certificates", "now": now, "operation": found}
    context["history"] = live.render(request, part)
    return render(request, "certificates/operation.html", context)


def _operation(pk: int) -> Operation:
    rows = Operation.objects.select_related(
        "zone", "update", "old_ca", "new_ca", "initiating_server", "created_by"
    )
    return get_object_or_404(rows, pk=pk)


def _operation_part(request: HttpRequest, found: Operation, *, now: datetime) -> Part:
    query = {key: request.GET[key] for key in ("after", "before") if key in request.GET}
    history = History(found, query, now=now)
    standing = StandingOf(found, now=now)
    evidence = EvidencePack.objects.defer("content").filter(operation=found).first()
    is_moving = history.is_moving or (evidence is not None and evidence.is_being_made)
    return Part(
        id="operation",
        url=live.address("certificates:operation", query, found.pk),
        template="certificates/_operation.html",
        context={
            "history": history,
            "operation": found,
            "updater": updater_tool.shown(found),
            "message": message(standing),
            "lost": standing.lost if found.is_live else None,
            "mobiles": standing.mobiles_to_enrol if _is_latest(found) else None,
            "no_right": NO_RIGHT,
            "steps": Timeline(standing).steps(),
            "counts": standing.counts,
            "readiness": standing.readiness,
            "evidence": evidence,
            "may_manage": access.has(request.user, "manage_certificates"),
            "outlook": outlook(found, now=now),
            "now": now,
        },
        seconds=live.QUICK if is_moving else live.STEADY,
    )


def _is_latest(found: Operation) -> bool:
    """Whether it is the one after which mobiles may have to be enrolled again."""
    return found.activated_at is not None and found == Operation.objects.newest(found.zone)


@require_safe
def device(request: HttpRequest, pk: int) -> HttpResponse:
    """Show, within a device's page, whom the device trusts and its own certificates."""
    found = get_object_or_404(Device.objects.select_related("zone"), pk=pk)
    now = clock.now()
    part = device_page.content(
        found,
        view="certificates:device",
        template="certificates/_device.html",
        now=now,
        more={"certificates": DeviceCertificates(found, now=now)},
    )
    return live.answer(request, part)
