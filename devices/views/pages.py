"""The devices list and the pages of one device. Its Updates are shown by `systemupdates`."""

from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from devices import actions, page
from devices.forms import AdditionalDNSNamesForm, TestDeviceForm
from devices.listing import listing
from devices.models import Device
from zcc.ground import access, audit, clock, live, paging


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show the devices list; search, filters, sorting and paging are in the address."""
    now = clock.now()
    context = {
        "section": "devices",
        "now": now,
        "listing": listing(request.GET.dict(), now=now),
    }
    return render(request, "devices/index.html", context)


@require_safe
def summary(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what is known of a device."""
    device, now = _device(pk), clock.now()
    part = page.content(device, view="devices:summary", template="devices/_summary.html", now=now)
    return _live_tab(request, device, part, tab="summary", now=now)


@require_safe
def head(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with what stands above every tab, if it is new."""
    tab = request.GET.get("tab", "")
    chosen = tab if tab in page.TABS else page.TABS[0]
    return live.answer(request, page.head(_device(pk), tab=chosen, now=clock.now()))


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change `Additional DNS Names`."""
    device = _device(pk)
    form = AdditionalDNSNamesForm(
        request.POST or None, initial={"names": "\n".join(device.additional_dns_names)}
    )
    if request.method == "POST":
        if not access.has(request.user, "manage_devices"):
            raise PermissionDenied
        if form.is_valid():
            try:
                actions.set_additional_dns_names(
                    device, form.cleaned_data["names"], by=request.user, now=clock.now()
                )
            except actions.InvalidNames as error:
                form.add_error("names", str(error))
            else:
                messages.success(request, f"The additional DNS names of {device.name} are saved.")
                return redirect("devices:settings", pk=device.pk)
    return _tab(request, device, "settings", form)


@require_POST
@access.needs("manage_devices")
def set_test_device(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark the device for rehearsals, or take the mark away."""
    device, form = _device(pk), TestDeviceForm(request.POST)
    wanted = form.is_valid() and form.cleaned_data["is_test"]
    try:
        actions.set_test_device(device, is_test=wanted, by=request.user, now=clock.now())
    except actions.NotPossibleNow as error:
        messages.warning(request, str(error))
    else:
        now_it = "is a test device" if wanted else "is no test device any more"
        messages.success(request, f"{device.name} {now_it}.")
    return redirect("devices:settings", pk=device.pk)


@require_POST
@access.needs("manage_devices")
def refresh_device(request: HttpRequest, pk: int) -> HttpResponse:
    """The quick task `Refresh Device`: ask the device to refresh now."""
    device = _device(pk)
    if actions.refresh_device(device, by=request.user, now=clock.now()):
        messages.success(request, f"{device.name} is asked to refresh. {SOON}")
    else:
        messages.warning(request, f"{device.name} cannot be asked to refresh.")
    return redirect("devices:summary", pk=device.pk)


SOON = "An agent that runs does so within seconds, any other when it is back."


@require_safe
def certificates(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the frame that the certificates of a device are loaded into."""
    return _tab(request, _device(pk), "certificates")


@require_safe
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """Show who changed what of the device, the newest first."""
    now, device = clock.now(), _device(pk)
    query = {key: request.GET[key] for key in ("after", "before") if key in request.GET}
    events = paging.cut(audit.of(device), query, key="at", descending=True)
    part = page.content(
        device,
        view="devices:history",
        template="devices/_history.html",
        now=now,
        more={"page": events, "pairs": [(event, "") for event in events.rows]},
        query=query,
    )
    return _live_tab(request, device, part, tab="history", now=now)


def _live_tab(
    request: HttpRequest, device: Device, part: live.Part, *, tab: str, now: datetime
) -> HttpResponse:
    """Answer with the page of a tab that keeps itself current, or with what is new of it."""
    if request.htmx:  # type: ignore[attr-defined]
        return live.answer(request, part)
    context = page.frame(request, device, tab=tab, now=now)
    context["content"] = live.render(request, part)
    return render(request, "devices/live_tab.html", context)


def _device(pk: int) -> Device:
    return get_object_or_404(Device.objects.select_related("zone", "heartbeat"), pk=pk)


def _tab(
    request: HttpRequest,
    device: Device,
    tab: str,
    form: AdditionalDNSNamesForm | None = None,
) -> HttpResponse:
    now = clock.now()
    context = page.frame(request, device, tab=tab, now=now) | {
        "form": form,
        "test_form": TestDeviceForm(initial={"is_test": device.is_test}),
        "why_not_test": actions.why_not_test(device),
    }
    status = 422 if form is not None and form.is_bound else 200
    return render(request, f"devices/{tab}.html", context, status=status)
