"""The page `Who can talk to whom`."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from certificates import guard
from certificates.models import Operation
from certificates.models.operation import State
from certificates.sent import ACTIVATION
from certificates.who_can_talk import Table, WhoCanTalk
from devices.models import Zone
from zcc.ground import clock

# When the guard's list means something: in Preparing and Replicating nobody has been told yet.
_GUARDED = (State.ASSIGNED, State.ARMED)


@require_safe
def who_can_talk(request: HttpRequest) -> HttpResponse:
    """Show the matrix of one state, and how many devices are cut off in each."""
    now = clock.now()
    found = WhoCanTalk(get_object_or_404(Zone), now=now)
    tables = {state: found.table(state) for state in found.states}
    table = tables.get(request.GET.get("state", "")) or tables[found.states[0]]
    cut_off = [
        (row, found.devices_of(row), found.is_helped_by_refresh(row, table.state))
        for row in table.rows
        if row.is_cut_off
    ]
    context = {
        "section": "certificates",
        "now": now,
        "tables": tables,
        "table": table,
        "operation": found.operation,
        "cut_off": cut_off,
        "guarded": _guarded(table, found.operation),
    }
    return render(request, "certificates/who_can_talk.html", context)


def _guarded(table: Table, operation: Operation | None) -> int | None:
    """How many devices the guard counts as lost, None where it counts none yet or any more."""
    if operation is None or table.state != ACTIVATION or operation.state not in _GUARDED:
        return None
    return guard.lost(operation).count()
