"""The devices list and the pages of one device. Its Updates are shown by `systemupdates`."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from devices import actions
from devices.forms import AdditionalDNSNamesForm, TestDeviceForm
from devices.listing import listing
from devices.models import Device
from devices.standing import standing
from zcc.ground import access, clock


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
    return _tab(request, _device(pk), "summary")


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
        actions.set_test_device(device, is_test=wanted)
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
    if actions.ask_refresh(Device.objects.filter(pk=device.pk), now=clock.now()):
        messages.success(request, f"{device.name} is asked to refresh. {SOON}")
    else:
        messages.warning(request, f"{device.name} cannot be asked to refresh.")
    return redirect("devices:summary", pk=device.pk)


SOON = "An agent that runs does so within seconds, any other when it is back."


@require_safe
def certificates(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the frame that the certificates of a device are loaded into."""
    return _tab(request, _device(pk), "certificates")


def _device(pk: int) -> Device:
    return get_object_or_404(Device.objects.select_related("zone", "heartbeat"), pk=pk)


def _tab(
    request: HttpRequest,
    device: Device,
    tab: str,
    form: AdditionalDNSNamesForm | None = None,
) -> HttpResponse:
    now = clock.now()
    context = {
        "section": "devices",
        "now": now,
        "device": device,
        "standing": standing(device, now=now),
        "tab": tab,
        "form": form,
        "test_form": TestDeviceForm(initial={"is_test": device.is_test}),
        "why_not_test": actions.why_not_test(device),
    }
    status = 422 if form is not None and form.is_bound else 200
    return render(request, f"devices/{tab}.html", context, status=status)
