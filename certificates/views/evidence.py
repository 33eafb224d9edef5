"""`Evidence pack`: asked for in a dialog, made by a worker, downloaded."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from certificates.actions import evidence
from certificates.forms import PlainForm
from certificates.models import EvidencePack, Operation
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def evidence_pack(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what an evidence pack holds, and let it be made."""
    now = clock.now()
    operation = get_object_or_404(Operation.objects.select_related("zone"), pk=pk)
    page = resolve_url("certificates:operation", pk)
    form = PlainForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            evidence.request_pack(operation, by=request.user, now=now)
        except evidence.BeingMade as error:
            form.add_error(None, str(error))
        else:
            return dialogs.close(to=page)
    found = EvidencePack.objects.defer("content").filter(operation=operation).first()
    context = {
        "section": "certificates",
        "now": now,
        "operation": operation,
        "back": page,
        "evidence": found,
    }
    return dialogs.show(request, "certificates/evidence_pack_dialog.html", form, context)


@require_safe
def download_evidence_pack(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the evidence pack as it was made last."""
    rows = EvidencePack.objects.select_related("operation__zone")
    pack = get_object_or_404(rows, operation=pk)
    if pack.content is None or pack.made_at is None:
        raise Http404
    operation = pack.operation
    about = f"{operation.zone.name} {operation.get_kind_display()}"
    name = f"{slugify(about)}-{operation.created_at:%Y-%m-%d}.evidence.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(bytes(pack.content), content_type="application/zip", headers=headers)
