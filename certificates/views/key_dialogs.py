"""Dialogs about the zone's keys: Backup CA, Verify backup, Restore CA, Move CA Role."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from certificates import backups, older_keys, sealing_keys, uploads
from certificates.actions import key_requests
from certificates.actions.authorities import Refused
from certificates.actions.key_requests import Asker
from certificates.buttons import why_not_back_up, why_not_move, why_not_restore
from certificates.forms import BackupCAForm, MoveCARoleForm, RestoreCAForm, VerifyBackupForm
from certificates.forms.key_requests import UploadForm
from certificates.key_request_view import Shown
from certificates.models import KeyRequest
from certificates.models.key_request import Kind, State
from certificates.standing import Standing
from devices.models import Device, Zone
from zcc.ground import access, clock, dialogs, doorbell, here, sending


@require_http_methods(["GET", "POST"])
@access.needs("back_up_ca")
def backup_ca(request: HttpRequest) -> HttpResponse:
    """Ask for a passphrase, and have the server with the CA role make a backup."""
    now, standing = _now_and_standing()
    form = BackupCAForm(request.POST or None, user=request.user)
    if form.is_valid():
        passphrase = form.cleaned_data["passphrase"]
        asker = _asker(request)
        made = _asked(
            form, lambda: key_requests.back_up(standing.zone, passphrase, asker=asker, now=now)
        )
        if made is not None:
            return dialogs.close(to=_page_of(made))
    context = {
        "why_not": why_not_back_up(standing, request.user),
        "file_name": backups.file_name(standing.zone, now),
        "lacking": older_keys.lacking(standing.zone, now=now),
    }
    return _show(request, "backup_ca", form, standing, context)


@require_http_methods(["GET", "POST"])
@access.needs("back_up_ca")
def verify_backup(request: HttpRequest) -> HttpResponse:
    """Ask for a file and its passphrase, and say what it holds. The zone is not touched."""
    now, standing = _now_and_standing()
    form = VerifyBackupForm(request.POST or None, request.FILES or None)
    _say_what_was_wrong(form, _refused(request, Kind.VERIFY))
    if form.is_valid():
        upload, asker = form.upload(), _asker(request)
        made = _asked(
            form, lambda: key_requests.verify_backup(standing.zone, upload, asker=asker, now=now)
        )
        if made is not None:
            return dialogs.close(to=_page_of(made))
    return _show(request, "verify_backup", form, standing, {})


@require_http_methods(["GET", "POST"])
@access.needs("back_up_ca")
def restore_ca(request: HttpRequest) -> HttpResponse:
    """Ask for a backup and a server, and have that server take the CA role."""
    now, standing = _now_and_standing()
    refused = _refused(request, Kind.RESTORE)
    form = RestoreCAForm(
        request.POST or None,
        request.FILES or None,
        user=request.user,
        servers=_servers(standing),
        holder=_holder(standing),
        is_external=_is_external(standing),
        initial={"server": refused.server_id} if refused else None,
    )
    _say_what_was_wrong(form, refused)
    if form.is_valid():
        server, upload, asker = form.cleaned_data["server"], form.upload(), _asker(request)
        made = _asked(
            form,
            lambda: key_requests.restore(standing.zone, server, upload, asker=asker, now=now),
        )
        if made is not None:
            return dialogs.close(to=_page_of(made))
    context = {"why_not": why_not_restore(standing, request.user)}
    return _show(request, "restore_ca", form, standing, context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def move_ca_role(request: HttpRequest) -> HttpResponse:
    """Ask which server gets the CA role, and have the keys go there."""
    now, standing = _now_and_standing()
    holder = _holder(standing)
    servers = [server for server in _servers(standing) if server != holder]
    form = MoveCARoleForm(
        request.POST or None,
        user=request.user,
        servers=servers,
        is_external=_is_external(standing),
    )
    if form.is_valid():
        server, asker = form.cleaned_data["server"], _asker(request)
        made = _asked(
            form, lambda: key_requests.move_role(standing.zone, server, asker=asker, now=now)
        )
        if made is not None:
            return dialogs.close(to=_page_of(made))
    context = {
        "why_not": why_not_move(standing, request.user),
        "holder": holder,
        "choices": [(server, server.is_alive(now)) for server in servers],
    }
    return _show(request, "move_ca_role", form, standing, context)


@require_safe
def key_request(request: HttpRequest, guid: UUID) -> HttpResponse:
    """Show what became of a request, until its end by itself; a refused file, in its form."""
    shown = Shown(_request_of(request, guid))
    if shown.is_refused and shown.had_file:
        return dialogs.close(to=shown.again)
    if request.GET.get("seen") == shown.stage:
        return HttpResponse(status=204)
    context = {
        "section": "certificates",
        "now": clock.now(),
        "shown": shown,
        "is_here": shown.request.asked_from == _here(),
        "back": resolve_url("certificates:index"),
    }
    return dialogs.show(request, "certificates/key_request_dialog.html", None, context)


@require_GET
@access.needs("back_up_ca")
def download_backup(request: HttpRequest, guid: UUID) -> HttpResponseBase:
    """Send the backup that was asked for on this server's console; once it arrives it counts."""
    found = _request_of(request, guid)
    if found.kind != Kind.BACKUP or found.answer is None or found.asked_from != _here():
        raise Http404
    data = sealing_keys.unseal(bytes(found.answer), context=backups.answer(found), home=here.home())

    def arrived() -> None:
        backups.remember(found, by=found.asked_by, at=clock.now())

    return sending.file(
        request, data, name=found.file_name, content_type="application/zip", arrived=arrived
    )


def _now_and_standing() -> tuple[datetime, Standing]:
    now = clock.now()
    standing = Standing(get_object_or_404(Zone), now=now)
    if standing.authority is None or standing.authority.server is None:
        raise Http404
    return now, standing


def _request_of(request: HttpRequest, guid: UUID) -> KeyRequest:
    """Only whoever asked sees what became of it."""
    rows = KeyRequest.objects.select_related("zone", "server", "holder", "turn", "asked_from")
    return get_object_or_404(rows, guid=guid, asked_by=request.user)


def _refused(request: HttpRequest, kind: Kind) -> KeyRequest | None:
    """The request with a file that came to nothing and is asked for once more, if there is one."""
    try:
        guid = UUID(request.GET.get("again", ""))
    except ValueError:
        return None
    mine = KeyRequest.objects.filter(asked_by_id=request.user.pk, kind=kind, guid=guid)
    return mine.filter(state=State.REFUSED).first()


def _say_what_was_wrong(form: UploadForm, refused: KeyRequest | None) -> None:
    if refused is not None and not form.is_bound:
        problem = refused.problem.replace("Nothing has changed. ", "")
        form.refuse(problem, file_name=uploads.shown(refused.file_name))


def _here() -> Device:
    return Device.objects.select_related("zone", "heartbeat").here()


def _asker(request: HttpRequest) -> Asker:
    return Asker(by=request.user, server=_here(), home=here.home())


def _holder(standing: Standing) -> Device:
    assert standing.authority is not None and standing.authority.server is not None
    return standing.authority.server


def _is_external(standing: Standing) -> bool:
    return standing.authority is not None and not standing.authority.is_internal


def _servers(standing: Standing) -> list[Device]:
    rows = Device.objects.filter(zone=standing.zone).active().primary_servers()
    return list(rows.select_related("zone", "heartbeat").order_by("name"))


def _asked(form: Form, ask: Any) -> KeyRequest | None:
    """Leave the request, or say in the form why it is refused."""
    try:
        made: KeyRequest = ask()
    except Refused as error:
        form.add_error(None, str(error).removesuffix(" Nothing has changed."))
        return None
    return made


def _page_of(request: KeyRequest) -> str:
    """The page on which the request shows itself; its worker is told now, not at the next tick."""
    doorbell.ring("certificates.tasks.key_request", queue=request.turn.queue, pk=request.pk)
    return resolve_url("certificates:key_request", request.guid)


def _show(
    request: HttpRequest, stem: str, form: Form, standing: Standing, context: dict[str, Any]
) -> HttpResponse:
    values = {
        "section": "certificates",
        "now": standing.now,
        "standing": standing,
        "back": resolve_url("certificates:index"),
        **context,
    }
    return dialogs.show(request, f"certificates/{stem}_dialog.html", form, values)
