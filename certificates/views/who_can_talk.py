"""The page `Who can talk to whom`."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from certificates.who_can_talk import SHOWN, WhoCanTalk
from devices.models import Zone
from zcc.ground import clock


@require_safe
def who_can_talk(request: HttpRequest) -> HttpResponse:
    """Show the matrix of one state, and how many devices are cut off in each."""
    now = clock.now()
    found = WhoCanTalk(get_object_or_404(Zone), now=now)
    tables = {state: found.table(state) for state in found.states}
    asked = request.GET.get("state", "")
    table = tables.get(asked) or tables[found.states[0]]
    cut_off = [(row, found.devices_of(row)[:SHOWN]) for row in table.rows if row.is_cut_off]
    context = {
        "section": "certificates",
        "now": now,
        "tables": tables,
        "table": table,
        "operation": found.operation,
        "cut_off": [(row, list(devices)) for row, devices in cut_off],
    }
    return render(request, "certificates/who_can_talk.html", context)
