"""Mobiles that cannot come back by themselves: who they are, and a link for each in one click."""

import base64

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from certificates import mobiles_to_enrol as to_enrol
from certificates.forms import EnrolMobilesAgainForm
from devices.models import Zone
from zcc.ground import access, clock, dialogs, paging

SHOWN = 20


@require_safe
def mobiles_to_enrol(request: HttpRequest) -> HttpResponse:
    """List them, with why, and with the link that each has."""
    zone, now = get_object_or_404(Zone), clock.now()
    page = paging.cut(to_enrol.to_enrol(zone, now=now), request.GET.dict(), key="name")
    context = {
        "section": "certificates",
        "now": now,
        "numbers": to_enrol.numbers(zone, now=now),
        "page": page,
        "reasons": to_enrol.reasons(page.rows, now=now),
    }
    return render(request, "certificates/mobiles_to_enrol.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def enrol_mobiles_again(request: HttpRequest) -> HttpResponse:
    """Make a re-enrolment link for each of them; the links come as a file, once."""
    zone, now = get_object_or_404(Zone), clock.now()
    form = EnrolMobilesAgainForm(request.POST or None)
    context = {
        "section": "certificates",
        "now": now,
        "back": resolve_url("certificates:mobiles_to_enrol"),
        "numbers": to_enrol.numbers(zone, now=now),
        "most": to_enrol.MOST,
    }
    if form.is_valid():
        try:
            made = to_enrol.make_links(zone, **form.cleaned_data, by=request.user, now=now)
        except to_enrol.Nobody as error:
            form.add_error(None, str(error))
        else:
            context |= {
                "made": made[:SHOWN],
                "number": len(made),
                "left": to_enrol.without_link(zone, now=now).count(),
                "csv": base64.b64encode(to_enrol.as_csv(made)).decode(),
            }
    return dialogs.show(request, "certificates/enrol_mobiles_again_dialog.html", form, context)
