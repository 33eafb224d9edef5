"""The page `Refresh needed`: who it is, and `Refresh Device` for all of them in one click."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from certificates.models import Operation
from certificates.refresh_needed import ask_all
from certificates.refresh_needed import refresh_needed as needing
from zcc.ground import access, clock, paging
from zcc.templatetags.numbers import count


@require_http_methods(["GET", "HEAD", "POST"])
def refresh_needed(request: HttpRequest, pk: int) -> HttpResponse:
    """List the devices; a POST asks all of them to refresh."""
    now, operation = clock.now(), get_object_or_404(Operation, pk=pk)
    devices = needing(operation)
    if request.method == "POST":
        if not access.has(request.user, "manage_devices"):
            raise PermissionDenied
        asked = ask_all(operation, by=request.user, now=now)
        messages.success(request, f"{count(asked, 'device')} asked to refresh.")
        return redirect("certificates:index")
    context = {
        "section": "certificates",
        "now": now,
        "number": devices.count(),
        "page": paging.cut(devices, request.GET.dict(), key="name"),
    }
    return render(request, "certificates/refresh_needed.html", context)
