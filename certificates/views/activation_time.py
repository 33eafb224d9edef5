"""The chosen activation time spelled out beside its fields, wherever one is asked for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from certificates import activation, forecast_view
from certificates.actions import forecasts
from certificates.forms import ActivationTimeForm
from certificates.models import CertificateAuthority, Operation
from devices.models import Device, Zone
from zcc.ground import doorbell


def spelled_out(
    form: ActivationTimeForm, ca: CertificateAuthority, why_not_at: Callable[[datetime], str | None]
) -> dict[str, Any]:
    """Return the time in words, what follows from it or why it cannot be, and who misses it."""
    if not form.is_valid():
        return {"spelled_out": "", "consequence": _why_no_time(form)}
    when = form.cleaned_data["activate_at"]
    why_not = why_not_at(when)
    found = None if why_not else forecast_view.at_rest(ca.zone)
    return {
        "spelled_out": activation.spelled_out(when, zone=form.zone_of_time),
        "consequence": why_not or activation.consequence(when, ca, now=form.now),
        "is_refused": why_not is not None,
        "is_early": why_not is None
        and when < activation.recommendation(ca.zone, now=form.now).since,
        "misses": forecast_view.Misses(found, when, now=form.now) if found else None,
        "looked_at": when,
        "is_old": why_not is None and looked_at_anew(ca.zone, now=form.now),
    }


def looked_at_anew(zone: Zone, operation: Operation | None = None, *, now: datetime) -> bool:
    """Have a worker make a forecast that is old; the page asks for it again until it is there."""
    if not forecasts.is_old(zone, operation, now=now):
        return False
    server = Device.objects.filter(zone=zone).active().alive(now).order_by("pk").first()
    if server is not None:
        doorbell.ring("certificates.tasks.make_forecast", queue=server.queue, zone_id=zone.pk)
    return True


def _why_no_time(form: ActivationTimeForm) -> str:
    """A time that the clocks skip is said; that something is not typed yet is no error here."""
    if not form.data.get("activation_date") or not form.data.get("activation_time"):
        return "Choose a date and a time."
    return " ".join(str(reason) for reasons in form.errors.values() for reason in reasons)
