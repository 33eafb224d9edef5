"""The page of all devices that would probably miss a date."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from certificates import activation
from certificates.forecast_view import Misses, Name
from certificates.models import Forecast
from zcc.ground import clock, paging


@require_safe
def stragglers(request: HttpRequest, pk: int) -> HttpResponse:
    """List, by name, the devices that are expected after `at`, or not at all."""
    now = clock.now()
    rows = Forecast.objects.filter(made_at__isnull=False).select_related(
        "operation__update", "zone"
    )
    forecast = get_object_or_404(rows, pk=pk)
    misses = Misses(forecast, _date(request) or _planned(forecast, now=now), now=now)
    page = paging.cut(misses.rows(), request.GET.dict(), key="device__name")
    context = {
        "section": "certificates",
        "now": now,
        "misses": misses,
        "page": page,
        "names": [Name(row, now) for row in page.rows],
    }
    return render(request, "certificates/stragglers.html", context)


def _date(request: HttpRequest) -> datetime | None:
    """The date that the address asks for, None if it makes no sense."""
    try:
        found = parse_datetime(request.GET.get("at", "").replace(" ", "+"))
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def _planned(forecast: Forecast, *, now: datetime) -> datetime:
    """Return the date that counts: of an activation that is over that is today's."""
    if forecast.operation is not None:
        return max(forecast.operation.activate_at, now)
    return activation.recommendation(forecast.zone, now=now).since
