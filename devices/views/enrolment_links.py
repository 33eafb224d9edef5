"""Enrolment links that nobody has used yet: how old they are, until when they work, Withdraw."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render, resolve_url
from django.views.decorators.http import require_http_methods, require_safe

from devices import mobiles
from devices.models import EnrolmentLink
from zcc.ground import access, clock, dialogs, paging


@require_safe
def enrolment_links(request: HttpRequest) -> HttpResponse:
    """List the links that somebody can still use, the newest first."""
    now = clock.now()
    rows = EnrolmentLink.objects.open(now).select_related("device", "created_by")
    page = paging.cut(rows, request.GET.dict(), key="created_at", descending=True)
    context = {"section": "devices", "now": now, "page": page}
    return render(request, "devices/enrolment_links.html", context)


@require_http_methods(["GET", "POST"])
@access.needs("manage_devices")
def withdraw_enrolment_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then let nobody use this link any more."""
    link = get_object_or_404(EnrolmentLink.objects.select_related("device"), pk=pk)
    now, back = clock.now(), resolve_url("devices:enrolment_links")
    if request.method == "POST":
        if mobiles.withdraw_link(link, by=request.user, now=now):
            messages.success(request, f"The link for {link.name} is withdrawn.")
        else:
            messages.warning(request, f"The link for {link.name} has been used, or has ended.")
        return dialogs.close(to=back)
    context = {"section": "devices", "now": now, "link": link, "back": back}
    return dialogs.show(request, "devices/withdraw_enrolment_link_dialog.html", None, context)
