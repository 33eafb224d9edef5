"""The chosen activation time spelled out beside its fields, wherever one is asked for."""

from collections.abc import Callable
from datetime import datetime

from certificates import activation
from certificates.forms import ActivationTimeForm
from certificates.models import CertificateAuthority


def spelled_out(
    form: ActivationTimeForm, ca: CertificateAuthority, why_not_at: Callable[[datetime], str | None]
) -> dict[str, str]:
    """Return the time in words, and what follows from it or why it cannot be."""
    if not form.is_valid():
        return {"spelled_out": "", "consequence": _why_no_time(form)}
    when = form.cleaned_data["activate_at"]
    consequence = why_not_at(when) or activation.consequence(when, ca, now=form.now)
    return {
        "spelled_out": activation.spelled_out(when, zone=form.zone_of_time),
        "consequence": consequence,
    }


def _why_no_time(form: ActivationTimeForm) -> str:
    """A time that the clocks skip is said; that something is not typed yet is no error here."""
    if not form.data.get("activation_date") or not form.data.get("activation_time"):
        return "Choose a date and a time."
    return " ".join(str(reason) for reasons in form.errors.values() for reason in reasons)
