"""`Rehearse`, the page of a rehearsal, and its `Cancel`."""

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from certificates.actions import rehearsals
from certificates.buttons import why_not_rehearse
from certificates.forms import PlainForm, RehearseForm
from certificates.models import Rehearsal
from certificates.rehearsal_view import Report
from certificates.standing import Standing
from devices.models import Zone
from zcc.ground import access, clock, dialogs, live, paging
from zcc.ground.live import Part


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def rehearse(request: HttpRequest) -> HttpResponse:
    """Ask which test devices rehearse a change of the CA, and start it."""
    now, zone = clock.now(), get_object_or_404(Zone)
    standing = Standing(zone, now=now)
    test_devices = list(rehearsals.test_devices(zone))
    form = RehearseForm(request.POST or None, test_devices=test_devices)
    why_not = why_not_rehearse(standing, request.user)
    if form.is_valid():
        try:
            row = _start(zone, form, why_not, request.user, now=now)
        except rehearsals.Refused as error:
            form.add_error(None, str(error))
        else:
            return dialogs.close(to=reverse("certificates:rehearsal", args=[row.pk]))
    context = {
        "section": "certificates",
        "now": now,
        "back": resolve_url("certificates:index"),
        "why_not": why_not,
        "test_devices": test_devices,
        "running": Rehearsal.objects.filter(zone=zone).open().first(),
    }
    return dialogs.show(request, "certificates/rehearse_dialog.html", form, context)


def _start(
    zone: Zone, form: RehearseForm, why_not: str, user: object, *, now: datetime
) -> Rehearsal:
    if why_not:
        raise rehearsals.Refused(why_not)
    chosen = form.cleaned_data["devices"]
    return rehearsals.start(zone, chosen, patience=form.patience, by=user, now=now)


@require_safe
def rehearsal(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far each device is, and the report when it is over."""
    now, row = clock.now(), _rehearsal(pk)
    query = {key: request.GET[key] for key in ("after", "before") if key in request.GET}
    part = Part(
        id="rehearsal",
        url=live.address("certificates:rehearsal", query, row.pk),
        template="certificates/_rehearsal.html",
        context={
            "row": row,
            "report": Report(row, query, now=now),
            "may_manage": access.has(request.user, "manage_certificates"),
            "now": now,
        },
        seconds=live.QUICK if row.is_open else live.STEADY,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return live.answer(request, part)
    context = {"section": "certificates", "now": now, "row": row}
    context["content"] = live.render(request, part)
    return render(request, "certificates/rehearsal.html", context)


@require_safe
def past_rehearsals(request: HttpRequest) -> HttpResponse:
    """List the zone's rehearsals, newest first."""
    rows = Rehearsal.objects.select_related("created_by", "server")
    page = paging.cut(rows, request.GET.dict(), key="created_at", descending=True)
    context = {"section": "certificates", "now": clock.now(), "page": page}
    return render(request, "certificates/past_rehearsals.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def cancel_rehearsal(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to end the rehearsal before its time."""
    now, row = clock.now(), _rehearsal(pk)
    back = reverse("certificates:rehearsal", args=[row.pk])
    form = PlainForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            rehearsals.cancel(row, by=request.user, now=now)
        except rehearsals.Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The rehearsal is canceled.")
            return dialogs.close(to=back)
    over = "The rehearsal is over already, or being cleaned up."
    context = {
        "section": "certificates",
        "now": now,
        "back": back,
        "why_not": "" if row.can_cancel else over,
    }
    return dialogs.show(request, "certificates/cancel_rehearsal_dialog.html", form, context)


def _rehearsal(pk: int) -> Rehearsal:
    rows = Rehearsal.objects.select_related("zone", "server", "created_by")
    return get_object_or_404(rows, pk=pk)
