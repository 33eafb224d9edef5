"""Dialogs about the zone's certificate authority: `Remint CA`, `Retire old CA`."""

from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from certificates import activation
from certificates.actions import authorities
from certificates.buttons import why_not_back_up, why_not_remint
from certificates.forms import ActivationTimeForm, RemintCAForm, RetireOldCAForm
from certificates.models import CertificateAuthority, Operation
from certificates.models.authority import State as CAState
from certificates.models.operation import Policy
from certificates.retirement import Retirement
from certificates.standing import Standing
from certificates.still_trusted import StillTrusted
from certificates.views import activation_time
from devices.models import Device
from pki import keys
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def remint_ca(request: HttpRequest) -> HttpResponse:
    """Ask what the new generation of the internal CA is to be, and begin the operation."""
    now = clock.now()
    ca = _internal_ca()
    silent = authorities.silent_satellites(ca.zone, now=now)
    servers = list(Device.objects.filter(zone=ca.zone).active().tls_servers().order_by("name"))
    proposed, older = _proposed(ca, now=now), StillTrusted(ca)
    form = RemintCAForm(
        request.POST or None,
        user=request.user,
        ca=ca,
        servers=servers,
        silent=silent,
        older=older,
        now=now,
        initial=proposed,
    )
    if form.is_valid():
        try:
            authorities.remint(ca, form.wishes(), by=request.user, now=now)
        except (authorities.Refused, authorities.OperationInProgress) as error:
            form.add_error(None, _reason(error))
        else:
            return dialogs.close(to="certificates:index")
    context = {
        **_surroundings(request, ca, now=now),
        **_when(ActivationTimeForm(request.POST or proposed, now=now), ca),
        "servers": servers,
        "silent": silent,
        "older": older,
    }
    return dialogs.show(request, "certificates/remint_ca_dialog.html", form, context)


def _internal_ca() -> CertificateAuthority:
    rows = CertificateAuthority.objects.select_related("zone", "server")
    return get_object_or_404(rows, state=CAState.ACTIVE, server__isnull=False)


def _proposed(ca: CertificateAuthority, *, now: datetime) -> dict[str, Any]:
    """What the dialog proposes: the manual's defaults, and the first recommended time."""
    recommended = timezone.localtime(activation.proposed(ca, now=now))
    key_type = keys.key_type_of(ca.x509().public_key())
    return {
        "common_name": ca.zone.name,
        "key_type": key_type or keys.DEFAULT,
        "years": authorities.MAX_YEARS,
        "include_additional_dns_names": True,
        "policy": Policy.OVERLAP,
        "activation_date": recommended.date(),
        "activation_time": recommended.time(),
    }


def _surroundings(
    request: HttpRequest, ca: CertificateAuthority, *, now: datetime
) -> dict[str, Any]:
    """What the dialog says around its fields."""
    standing = Standing(ca.zone, now=now)
    return {
        "section": "certificates",
        "now": now,
        "back": resolve_url("certificates:index"),
        "why_not": why_not_remint(standing, request.user),
        "standing": standing,
        "backup_url": backup_url(standing, request.user),
        "devices": Device.objects.filter(zone=ca.zone).active().count(),
        "cutoff": settings.ZCC_CANCEL_CUTOFF,
        "recommended": activation.recommendation(ca.zone, now=now),
    }


def backup_url(standing: Standing, user: Any) -> str:
    """Where the key is backed up first, nothing if it cannot be now."""
    return "" if why_not_back_up(standing, user) else resolve_url("certificates:backup_ca")


@require_safe
@access.needs("manage_certificates")
def remint_ca_time(request: HttpRequest) -> HttpResponse:
    """Spell out the date and time that stand in the dialog right now."""
    now = clock.now()
    ca = _internal_ca()
    context = _when(ActivationTimeForm(request.GET, now=now), ca)
    return render(request, "certificates/_activation_time_answer.html", context)


def _when(form: ActivationTimeForm, ca: CertificateAuthority) -> dict[str, Any]:
    """The chosen time spelled out, what follows from it or why it cannot be, and who misses it."""
    why_not_at = partial(authorities.why_not_at, ca, years=authorities.MAX_YEARS, now=form.now)
    return activation_time.spelled_out(form, ca, why_not_at)


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def retire_old_ca(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the overlap may end, and end it."""
    now = clock.now()
    operation = get_object_or_404(
        Operation.objects.select_related("zone", "old_ca", "new_ca"), pk=pk
    )
    retirement = Retirement(operation, now=now)
    form = RetireOldCAForm(
        request.POST or None,
        user=request.user,
        loses_devices=retirement.number > 0,
        old_ca=operation.old_ca,
    )
    if form.is_valid():
        note = form.cleaned_data.get("reason", "")
        try:
            authorities.retire_old_ca(operation, by=request.user, now=now, note=note)
        except authorities.Refused as error:
            form.add_error(None, _reason(error))
        else:
            messages.success(request, "The old CA is retired.")
            return dialogs.close(to="certificates:index")
    context = {
        "section": "certificates",
        "now": now,
        "back": resolve_url("certificates:index"),
        "retirement": retirement,
    }
    return dialogs.show(request, "certificates/retire_old_ca_dialog.html", form, context)


def _reason(error: Exception) -> str:
    """The sentence of a refusal; that nothing has changed is said by the error summary."""
    return str(error).removesuffix(" Nothing has changed.")
