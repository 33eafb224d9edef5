"""The dialog `Change CA`: one address, a form a step, a draft in between."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from certificates import activation
from certificates.actions import authorities
from certificates.buttons import why_not_change
from certificates.change_ca_summary import summary
from certificates.change_ca_wizard import (
    ACTIVATION,
    AUTHORITY,
    EXTERNAL_STEPS,
    INTERNAL_STEPS,
    TITLES,
    Form,
    Wizard,
)
from certificates.forms import ActivationTimeForm, ChangeActivationForm, ChangeAuthorityForm
from certificates.forms.change_ca import TO_EXTERNAL, TO_INTERNAL
from certificates.models import CertificateAuthority, ChangeCADraft
from certificates.models.authority import State as CAState
from certificates.standing import Standing
from certificates.views import activation_time
from certificates.views.ca_dialogs import backup_url
from devices.models import Device
from zcc.ground import access, clock, dialogs, here


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def change_ca(request: HttpRequest) -> HttpResponse:
    """Ask step by step what the new CA is to be, and begin the operation at the last one."""
    wizard = _wizard(request)
    if request.method != "POST":
        return _show(request, wizard, AUTHORITY)
    if wizard.draft is None and (guid := _guid(request)) is not None:
        if authorities.begun(guid) is not None:  # the last step, sent twice
            return dialogs.close(to="certificates:index")
        return _start_again(request, wizard)
    step = request.POST.get("step", "")
    step = step if step in wizard.steps else AUTHORITY
    return _ANSWERS.get(request.POST.get("go", ""), _next)(request, wizard, step)


def _next(request: HttpRequest, wizard: Wizard, step: str) -> HttpResponse:
    form = wizard.submitted(step, request)
    is_valid = form.is_valid()
    if is_valid or (isinstance(form, ChangeAuthorityForm) and form.has_file):
        wizard.keep(step, request, form)
    if not is_valid:
        return _show(request, wizard, step, form)
    if isinstance(form, ChangeActivationForm):
        return _finish(request, wizard, form)
    return _show(request, wizard, wizard.step_after(step))


def _back(request: HttpRequest, wizard: Wizard, step: str) -> HttpResponse:
    """Show the step before; what stands in this one is kept as it is, right or wrong."""
    if wizard.draft is not None:
        wizard.keep(step, request)
    return _show(request, wizard, wizard.step_after(step, by=-1))


def _read(request: HttpRequest, wizard: Wizard, step: str) -> HttpResponse:
    """Show what came of the file that was just chosen; the rest is not judged yet."""
    form = wizard.submitted(AUTHORITY, request)
    form.is_valid()
    for name in [name for name in form.errors if name != "root"]:
        del form.errors[name]
    wizard.keep(AUTHORITY, request, form)
    return _show(request, wizard, AUTHORITY, form if form.errors else None)


_ANSWERS = {"next": _next, "back": _back, "read": _read}


def _finish(request: HttpRequest, wizard: Wizard, form: ChangeActivationForm) -> HttpResponse:
    if (step := wizard.first_invalid()) is not None:
        return _show(request, wizard, step, wizard.answered(step))
    try:
        wizard.finish(form, console=_console(wizard.ca))
    except (authorities.Refused, authorities.OperationInProgress) as error:
        form.add_error(None, str(error).removesuffix(" Nothing has changed."))
        return _show(request, wizard, ACTIVATION, form)
    return dialogs.close(to="certificates:index")


def _start_again(request: HttpRequest, wizard: Wizard) -> HttpResponse:
    form = wizard.submitted(AUTHORITY, request)
    form.errors.clear()
    form.add_error(None, "This dialog was closed, or left for more than a day. Begin again.")
    return _show(request, wizard, AUTHORITY, form)


def _console(ca: CertificateAuthority) -> Device:
    """The server whose console this is; a console of no server stands for the signing one."""
    try:
        return Device.objects.here()
    except (here.NoServer, Device.DoesNotExist, OSError):
        assert ca.server is not None  # somebody signs what devices are told
        return ca.server


def _wizard(request: HttpRequest) -> Wizard:
    now = clock.now()
    rows = CertificateAuthority.objects.select_related("zone", "server")
    ca = get_object_or_404(rows, state=CAState.ACTIVE, server__isnull=False)
    return Wizard(_draft(request), ca=ca, user=request.user, now=now)


def _draft(request: HttpRequest) -> ChangeCADraft | None:
    guid = _guid(request)
    theirs = ChangeCADraft.objects.filter(by_id=request.user.pk)
    return theirs.filter(guid=guid).first() if guid else None


def _guid(request: HttpRequest) -> UUID | None:
    typed = request.POST.get("draft") or request.GET.get("draft")
    try:
        return UUID(typed) if typed else None
    except ValueError:
        return None


def _show(
    request: HttpRequest, wizard: Wizard, step: str, form: Form | None = None
) -> HttpResponse:
    """Show a step; with a form that is not valid, as 422."""
    shown = form if form is not None else wizard.shown(step)
    standing = Standing(wizard.ca.zone, now=wizard.now)
    context: dict[str, Any] = {
        "section": "certificates",
        "now": wizard.now,
        "back": resolve_url("certificates:index"),
        "wizard": wizard,
        "step": step,
        "steps": _steps(wizard, step),
        "why_not": why_not_change(standing, request.user),
        "standing": standing,
        "backup_url": backup_url(standing, request.user),
        "cutoff": settings.ZCC_CANCEL_CUTOFF,
        "devices": Device.objects.filter(zone=wizard.ca.zone).active().count(),
    }
    if step == ACTIVATION:
        context |= _activation(request, wizard)
    return dialogs.show(request, "certificates/change_ca_dialog.html", shown, context)


def _steps(wizard: Wizard, step: str) -> list[dict[str, str]]:
    """The steps as the head shows them: done, current, to come."""
    if step == AUTHORITY:
        return [*_numbered([AUTHORITY], step), *_to_come()]
    return _numbered(wizard.steps, step)


def _numbered(steps: list[str], step: str) -> list[dict[str, str]]:
    at = steps.index(step)
    looks = ["is-done"] * at + ["is-current"] + [""] * (len(steps) - at - 1)
    return [
        {"title": f"{number}. {TITLES[name]}", "look": look}
        for number, (name, look) in enumerate(zip(steps, looks, strict=True), start=1)
    ]


def _to_come() -> list[dict[str, str]]:
    """What follows the first step, for either choice: the browser shows those of the chosen one."""
    return [
        {"title": f"{number}. {TITLES[name]}", "look": "", "only": only}
        for only, steps in ((TO_INTERNAL, INTERNAL_STEPS), (TO_EXTERNAL, EXTERNAL_STEPS))
        for number, name in enumerate(steps[1:], start=2)
    ]


def _activation(request: HttpRequest, wizard: Wizard) -> dict[str, Any]:
    proposed = wizard.shown(ACTIVATION).initial
    data = request.POST if "activation_date" in request.POST else _as_typed(proposed)
    return {
        "summary": summary(wizard),
        "recommended": activation.recommendation(wizard.ca.zone, now=wizard.now),
        **_when(ActivationTimeForm(data, now=wizard.now), wizard),
    }


def _as_typed(proposed: Mapping[str, Any]) -> dict[str, Any]:
    names = ("activation_date", "activation_time")
    return {name: proposed[name] for name in names if proposed.get(name)}


@require_safe
@access.needs("manage_certificates")
def change_ca_time(request: HttpRequest) -> HttpResponse:
    """Spell out the date and time that stand in the dialog right now."""
    wizard = _wizard(request)
    context = {
        "time_url": f"{request.path}?draft={_guid(request) or ''}",
        **_when(ActivationTimeForm(request.GET, now=wizard.now), wizard),
    }
    return render(request, "certificates/_activation_time_answer.html", context)


def _when(form: ActivationTimeForm, wizard: Wizard) -> dict[str, Any]:
    root = wizard.root if wizard.is_to_external else None
    ends: datetime | None = root.root.not_valid_after_utc if root else None
    why_not_at = partial(
        authorities.why_not_at,
        wizard.ca,
        years=authorities.MAX_YEARS,
        now=wizard.now,
        root_expires=ends,
    )
    return activation_time.spelled_out(form, wizard.ca, why_not_at)


@require_POST
@access.needs("manage_certificates")
def discard_change_ca(request: HttpRequest) -> HttpResponse:
    """Forget what was typed: the dialog was closed."""
    draft = _draft(request)
    if draft is not None:
        draft.delete()
    return HttpResponse(status=204)
