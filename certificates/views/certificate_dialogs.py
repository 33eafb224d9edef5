"""`View Certificate`, and its downloads."""

from cryptography.hazmat.primitives.serialization import Encoding
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.views.decorators.http import require_safe

from certificates import certificate_view
from zcc.ground import clock, dialogs

FORMS = {
    "pem": (Encoding.PEM, "application/x-pem-file"),
    "der": (Encoding.DER, "application/pkix-cert"),
}


@require_safe
def view_certificate(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Show every fact of one certificate."""
    now = clock.now()
    context = {
        "section": "certificates",
        "now": now,
        "certificate": certificate_view.shown(kind, pk, now=now),
        "back": resolve_url("certificates:index"),
    }
    return dialogs.show(request, "certificates/view_certificate_dialog.html", None, context)


@require_safe
def download_certificate(request: HttpRequest, kind: str, pk: int, form: str) -> HttpResponse:
    """Send the certificate as a file, in PEM or DER."""
    if form not in FORMS:
        raise Http404
    encoding, content_type = FORMS[form]
    shown = certificate_view.shown(kind, pk, now=clock.now())
    name = f"{shown.file_name}.{'pem' if form == 'pem' else 'cer'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    content = shown.row.x509().public_bytes(encoding)
    return HttpResponse(content, content_type=content_type, headers=headers)
