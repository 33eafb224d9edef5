"""The views that belong to no application: Home, and the appearance an administrator chooses."""

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from devices.models import Zone
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
