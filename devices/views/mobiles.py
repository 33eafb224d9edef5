"""The dialogs `Enrol mobile`, `Re-enrolment link`, `End-user page`: what is shown once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods, require_POST

from devices import handing_over, mobiles
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


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def end_user_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the address of a mobile's end-user page, and show it once."""
    device = get_object_or_404(Device.objects.select_related("zone"), pk=pk)
    form = Form(request.POST if request.method == "POST" else None)
    context = {
        "section": "devices",
        "now": clock.now(),
        "back": resolve_url("devices:summary", device.pk),
        "device": device,
        "why_not": mobiles.why_no_page(device),
    }
    if form.is_valid():
        try:
            secret = mobiles.make_page(device, by=request.user, now=clock.now())
        except NotPossibleNow as error:
            form.add_error(None, str(error))
        else:
            console = ports.console_url(here.identity().address)
            context["page_url"] = f"{console}me/{secret}/"
    return dialogs.show(request, "devices/end_user_page_dialog.html", form, context)


@require_POST
@access.needs("manage_devices")
def end_end_user_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the address of the end-user page lead nowhere from now on."""
    device = get_object_or_404(Device, pk=pk)
    if mobiles.end_page(device, by=request.user, now=clock.now()):
        messages.success(request, f"The end-user page of {device.name} has ended.")
    else:
        messages.warning(request, f"{device.name} has no end-user page.")
    return dialogs.close(to=resolve_url("devices:summary", device.pk))


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
            expires_at = context["now"] + timedelta(days=form.cleaned_data["days"])
            context |= handing_over.parts(secret, expires_at=expires_at)
    return dialogs.show(request, template, form, {"section": "devices", **context})
