"""The dialogs `Enrol mobile` and `Re-enrolment link`: a link, shown once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from agent import pem
from devices import mobiles
from devices.actions import InvalidNames, NotPossibleNow
from devices.forms import EnrolAgainForm, EnrolMobileForm
from devices.models import Device, Zone
from zcc.ground import access, clock, dialogs, here, ports


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def enrol_mobile(request: HttpRequest) -> HttpResponse:
    """Make a link by which a new mobile enrols."""
    zone, now = get_object_or_404(Zone), clock.now()
    form = EnrolMobileForm(request.POST or None)

    def make(name: str, folder: str, days: int) -> str:
        lifetime = timedelta(days=days)
        return mobiles.make_link(
            zone, name, folder=folder, lifetime=lifetime, by=request.user, now=now
        )

    context = {"back": resolve_url("devices:index"), "now": now}
    return _show(request, "devices/enrol_mobile_dialog.html", form, context, make)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def enrol_mobile_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a link by which a mobile gets another identity, also before it needs it."""
    device = get_object_or_404(Device.objects.select_related("zone"), pk=pk)
    now = clock.now()
    form = EnrolAgainForm(request.POST or None)

    def make(days: int) -> str:
        lifetime = timedelta(days=days)
        return mobiles.make_link_again(device, lifetime=lifetime, by=request.user, now=now)

    context = {
        "back": resolve_url("devices:summary", device.pk),
        "now": now,
        "device": device,
        "why_not": mobiles.why_not_again(device),
        "open_links": device.enrolment_links.open(now).count(),
    }
    return _show(request, "devices/enrol_mobile_again_dialog.html", form, context, make)


def _show(
    request: HttpRequest,
    template: str,
    form: EnrolMobileForm | EnrolAgainForm,
    context: dict[str, Any],
    make: Callable[..., str],
) -> HttpResponse:
    """Show the dialog; when it is submitted, the link instead of the form."""
    if form.is_valid():
        try:
            secret = make(**form.cleaned_data)
        except InvalidNames as error:
            form.add_error("name", str(error))
        except NotPossibleNow as error:
            form.add_error(None, str(error))
        else:
            context |= _to_hand_over(secret, form.cleaned_data["days"], now=context["now"])
    return dialogs.show(request, template, form, {"section": "devices", **context})


def _to_hand_over(secret: str, days: int, *, now: datetime) -> dict[str, Any]:
    """What whoever holds the mobile needs: the link, and its parts for any client of EST."""
    server = ports.device_url(here.identity().address)
    fingerprints = _fingerprints()
    return {
        "link": mobiles.address(server, secret, fingerprints),
        "est_url": server + mobiles.PATH,
        "secret": secret,
        "fingerprints": fingerprints,
        "expires_at": now + timedelta(days=days),
    }


def _fingerprints() -> list[str]:
    """The CAs that servers may show while the link lasts: also the one that is to come."""
    home = here.home()
    anchors = home.anchors() or [home.read_file("security/ca.cert") or b""]
    return [pem.fingerprint(anchor) for anchor in anchors if anchor]
