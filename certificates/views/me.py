"""
The end-user page of a mobile: status, `Refresh`, re-enrolment.

Whoever has its address may use it, without an account. An administrator makes that address.
"""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from certificates.mobile_page import MobilePage
from devices import actions, handing_over, mobiles
from devices.models import Device
from zcc.ground import clock

LINK_LIFETIME = timedelta(hours=1)  # it is used at once, on the mobile that shows it


@login_not_required
@never_cache
@require_safe
def me(request: HttpRequest, secret: str) -> HttpResponse:
    """Show how the mobile is."""
    page = MobilePage(_mobile(secret), clock.now())
    return render(request, "certificates/me.html", {"page": page, "address_secret": secret})


@login_not_required
@require_POST
def me_refresh(request: HttpRequest, secret: str) -> HttpResponse:
    """Ask the mobile to sync now."""
    mobile = _mobile(secret)
    if actions.ask_refresh(Device.objects.filter(pk=mobile.pk), now=clock.now()):
        messages.success(request, "The mobile is asked to refresh. It does so as soon as it is on.")
    else:
        messages.warning(request, f"{mobile.name} cannot be asked to refresh.")
    return redirect("certificates:me", secret=secret)


@login_not_required
@never_cache
@require_POST
def me_enrol_again(request: HttpRequest, secret: str) -> HttpResponse:
    """Make a link for another identity, and show it, once."""
    mobile, now = _mobile(secret), clock.now()
    context = {"page": MobilePage(mobile, now), "address_secret": secret}
    try:
        made = mobiles.make_link_again(mobile, lifetime=LINK_LIFETIME, by=None, now=now)
    except actions.NotPossibleNow as error:
        return render(request, "certificates/me.html", {**context, "error": str(error)}, status=422)
    context |= handing_over.parts(made, expires_at=now + LINK_LIFETIME)
    return render(request, "certificates/me.html", context)


def _mobile(secret: str) -> Device:
    mobile = mobiles.of_page(secret)
    if mobile is None:
        raise Http404
    return mobile
