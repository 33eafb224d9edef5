"""The dialog `Use what it reports`: a server has another address or DNS name than its record."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url
from django.views.decorators.http import require_http_methods

from certificates.actions import csrs
from certificates.forms import PlainForm
from devices.models import Device
from zcc.ground import access, clock, dialogs


@require_http_methods(["GET", "POST"])
@access.needs("manage_certificates")
def use_reported(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether certificates are to be made for what the server reports, and see to it."""
    device, now = get_object_or_404(Device.objects.select_related("zone"), pk=pk), clock.now()
    form = PlainForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        shown = request.POST.get("shown", "")
        try:
            is_anew = csrs.use_reported(device, shown=shown, by=request.user, now=now)
        except csrs.Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _ANEW if is_anew else _TAKEN)
            return dialogs.close(to="certificates:index")
    device.refresh_from_db()
    context = {
        "section": "certificates",
        "now": now,
        "device": device,
        "names": ", ".join([device.dns_name, *device.addresses]),
        "back": resolve_url("certificates:index"),
    }
    return dialogs.show(request, "certificates/use_reported_dialog.html", form, context)


_ANEW = "It is taken over, and the future certificate is being made anew."
_TAKEN = "It is taken over. The certificate in use stays as it is until another one replaces it."
