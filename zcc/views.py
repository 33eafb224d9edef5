"""The views of no application: Home, the audit log, the appearance an administrator chooses."""

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from devices.models import Zone
from zcc import audit_log as audit
from zcc.context import APPEARANCE_COOKIE, APPEARANCES
from zcc.ground import clock, live
from zcc.home import Home

A_YEAR = 365 * 24 * 3600


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show how the zone is; the page keeps itself current while an operation is live."""
    now = clock.now()
    zone = Zone.objects.first()
    context = {"section": "home", "now": now, "home": Home(zone, now=now) if zone else None}
    return live.show(request, page="home.html", part="_home.html", context=context)


@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """Show who changed what of the zone, the newest first; filters are in the address."""
    log = audit.read(request.GET.dict())
    context = {"section": "audit_log", "now": clock.now(), "log": log}
    return render(request, "audit_log.html", context)


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """Keep Light, Dark or System in a cookie, so that the sign-in page looks the same."""
    chosen = request.POST.get("appearance", "")
    if chosen not in APPEARANCES:
        return HttpResponseBadRequest("There is no such appearance.")
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    response = HttpResponseRedirect(back if safe else "/")
    response.set_cookie(
        APPEARANCE_COOKIE, chosen, max_age=A_YEAR, secure=True, httponly=True, samesite="Lax"
    )
    return response
