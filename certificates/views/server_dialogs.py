"""Dialogs about servers' certificates: requests, imports, fresh ones; and the CSRs as files."""

import io
import zipfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from certificates import importing, judging
from certificates.actions import csrs, server_certificates
from certificates.forms import (
    GenerateCSRForm,
    ImportCertificateForm,
    PlainForm,
    RemintServerCertificateForm,
)
from certificates.lacking import lacking
from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.server_certificate import State
from certificates.server_actions import external_operation, why_no_external
from devices.models import Device, Zone
from pki import csr
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def generate_csr(request: HttpRequest) -> HttpResponse:
    """Ask what the requests of the selected servers are to say, and have them made."""
    now, zone = clock.now(), get_object_or_404(Zone)
    operation, servers = external_operation(zone), _selected(request, zone)
    form = GenerateCSRForm(request.POST or None, initial=_proposed(operation, servers))
    why_not = why_no_external(operation)

    def generate() -> None:
        assert operation is not None
        csrs.generate(operation, servers, form.wishes(), by=request.user, now=now)

    context = {**_whom(zone, servers), "why_not": why_not, "operation": operation}
    return _ask(request, "generate_csr", form, generate, context, now=now)


def _proposed(operation: Operation | None, servers: list[Device]) -> dict[str, Any]:
    """What stands in the fields at first: what was asked for the last time."""
    rows = ServerProgress.objects.filter(operation=operation, device__in=servers)
    row = rows.select_related("operation").order_by("-request_number").first()
    if row is None:
        return {}
    known = {"key_type": row.wishes.key_type, **row.wishes.fields}
    return {**known, "include_additional_dns_names": row.wishes.include_additional_dns_names}


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def import_certificate(request: HttpRequest) -> HttpResponse:
    """Take in whatever the external CA has sent back, and say what became of each."""
    now, zone = clock.now(), get_object_or_404(Zone)
    operation, servers = external_operation(zone), _selected(request, zone)
    why_not = why_no_external(operation)
    is_sent = request.method == "POST"
    form = ImportCertificateForm(*((request.POST, request.FILES) if is_sent else ()))
    verdicts: list[importing.Verdict] = []
    if why_not and is_sent:
        form.add_error(None, why_not)
    elif operation is not None and form.is_valid():
        try:
            verdicts = importing.import_files(
                operation, form.uploaded(), only=servers, by=request.user, now=now
            )
        except judging.NotReady as error:
            form.add_error(None, str(error))
        if _all_refused(verdicts):
            form.add_error(None, "Each file has its reason below.")
    context = {
        **_surroundings(request, now=now),
        "servers": servers,
        "why_not": why_not,
        "operation": operation,
        "verdicts": verdicts,
        **_still_missing(operation, now=now),
    }
    return dialogs.show(request, "certificates/import_certificate_dialog.html", form, context)


def _all_refused(verdicts: list[importing.Verdict]) -> bool:
    words = {verdict.word for verdict in verdicts}
    return importing.REFUSED in words and importing.IMPORTED not in words


def _still_missing(operation: Operation | None, *, now: datetime) -> dict[str, Any]:
    if operation is None:
        return {}
    missing = [row.device.name for row in lacking(operation)]
    total = operation.servers.filter(device__retired_at=None).count()
    follows = importing.what_follows(operation, is_complete=not missing, now=now)
    here = total - len(missing)
    return {"missing": missing, "here": here, "total": total, "what_follows": follows}


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def remint_server_certificate(request: HttpRequest) -> HttpResponse:
    """Ask for the password, and begin to give the selected servers fresh certificates."""
    now, zone = clock.now(), get_object_or_404(Zone)
    servers = _selected(request, zone)
    form = RemintServerCertificateForm(request.POST or None, user=request.user)
    why_not = server_certificates.why_not_reminted(zone, now=now)

    def remint() -> None:
        server_certificates.remint(servers, by=request.user, now=now)

    context = {**_whom(zone, servers), "why_not": why_not}
    return _ask(request, "remint_server_certificate", form, remint, context, now=now)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def reissue_certificate(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether an outdated future certificate is to be made anew."""
    now, device = clock.now(), get_object_or_404(Device, pk=pk)
    operation = Operation.objects.newest(device.zone)
    form = PlainForm(request.POST if request.method == "POST" else None)
    why_not = "" if operation else "No operation is in progress."

    def reissue() -> None:
        assert operation is not None
        csrs.reissue(operation, device, by=request.user, now=now)

    context = {"device": device, "why_not": why_not, "operation": operation}
    return _ask(request, "reissue_certificate", form, reissue, context, now=now)


@require_safe
def download_csr(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the request of one server, in PEM."""
    row = get_object_or_404(_requests().filter(device=pk))
    headers = {"Content-Disposition": f'attachment; filename="{_file_name(row.device)}"'}
    content = csr.to_pem(bytes(row.csr or b""))
    return HttpResponse(content, content_type="application/pkcs10", headers=headers)


@require_safe
def download_csrs(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the requests of all servers that wait to be signed, as one ZIP."""
    rows = list(_requests().filter(operation=pk, state=State.REQUESTED))
    if not rows:
        raise Http404("No request waits to be signed.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in rows:
            archive.writestr(_file_name(row.device), csr.to_pem(bytes(row.csr or b"")))
    headers = {"Content-Disposition": 'attachment; filename="csrs.zip"'}
    return HttpResponse(packed.getvalue(), content_type="application/zip", headers=headers)


def _requests() -> Any:
    """Requests for an external CA that are still wanted."""
    rows = ServerCertificate.objects.coming().exclude(csr=None).exclude(operation__csr_mode="")
    return rows.exclude(operation=None).select_related("device").order_by("device__name")


def _file_name(device: Device) -> str:
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-.") else "-"
                    for one in device.name[:80])  # fmt: skip
    return f"{plain.strip('.-') or 'server'}-{device.pk}.csr"


def _selected(request: HttpRequest, zone: Zone) -> list[Device]:
    """The servers that are ticked, in the pane or in the dialog, or stand in the dialog."""
    given = request.POST if request.method == "POST" else request.GET
    chosen = [pk for pk in given.getlist("server") if pk.isascii() and pk.isdigit()]
    chosen = [pk for pk in chosen if len(pk) < 18]
    return list(_servers(zone).filter(pk__in=chosen)) if chosen else []


def _servers(zone: Zone) -> QuerySet[Device]:
    servers = Device.objects.filter(zone=zone).active().tls_servers()
    return servers.select_related("zone").order_by("name")


def _whom(zone: Zone, servers: list[Device]) -> dict[str, Any]:
    """The servers that are selected; if there are none, those to choose from."""
    return {"servers": servers, "choices": [] if servers else list(_servers(zone))}


# What the toast says.
_DONE = {
    "generate_csr": "The requests are being made. A Satellite makes its own at its next refresh.",
    "remint_server_certificate": "The servers are getting fresh certificates.",
    "reissue_certificate": "The future certificate is being made anew.",
}


def _ask(
    request: HttpRequest,
    stem: str,
    form: Form,
    act: Callable[[], None],
    context: dict[str, Any],
    *,
    now: datetime,
) -> HttpResponse:
    """Show the dialog; when it is submitted do what it asks, or say why that cannot be done."""
    if form.is_valid():
        try:
            if context["why_not"]:
                raise csrs.Refused(context["why_not"])
            if "choices" in context and not context["servers"]:
                raise csrs.Refused("No server is selected. Tick those you mean.")
            act()
        except (csrs.Refused, server_certificates.Refused) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _DONE[stem])
            return dialogs.close(to="certificates:index")
    values = {**_surroundings(request, now=now), **context}
    return dialogs.show(request, f"certificates/{stem}_dialog.html", form, values)


def _surroundings(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    return {"section": "certificates", "now": now, "back": resolve_url("certificates:index")}
