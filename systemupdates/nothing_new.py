"""
Which devices are left alone: by their refresh nothing is to be noted of updates, nor said.

For many devices at once, by as many queries as for one. What is doubtful is not left alone.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from systemupdates.models import DeviceUpdate
from systemupdates.models import device_update as device_updates
from zcc.ground.wire import guid, text

Report = Mapping[str, Any]


def busy(reports: Mapping[int, Report], telling: Q) -> set[int]:
    """
    Return the devices of these reports, by id, that have more to do or to say of an update.

    `telling` finds the rows of updates of which devices are told beside those assigned.
    """
    rows = DeviceUpdate.objects.filter(device__in=reports)
    doing = rows.filter(state__in=device_updates.PENDING_STATES)
    doing = doing.filter(Q(update__state="assigned") | telling)
    found = set(doing.values_list("device", flat=True))
    found |= {device for device, report in reports.items() if report.get("steps")}
    proofs = {device: proof for device, report in reports.items() if (proof := report.get("proof"))}
    return found | _with_new_proof(proofs)


def _with_new_proof(proofs: Mapping[int, Any]) -> set[int]:
    """A device says again how its last probe ended, for as long as it lives; once it is noted."""
    found = {device for device, proof in proofs.items() if not isinstance(proof, dict)}
    asked = {device: guid(proofs[device], "update") for device in proofs.keys() - found}
    named = {device: update for device, update in asked.items() if update is not None}
    if not named:
        return found
    rows = DeviceUpdate.objects.filter(device__in=named, update__guid__in=set(named.values()))
    known = {
        (device, update): noted
        for device, update, *noted in rows.values_list(
            "device", "update__guid", "proof_leaf", "proof_problem", "proof_refused"
        )
    }
    for device, update in named.items():
        noted = known.get((device, update))
        if noted is not None and noted != _noted(proofs[device]):
            found.add(device)
    return found


def _noted(proof: Report) -> list[object]:
    """What stands in the row once this proof is noted, if it is one that succeeded."""
    return [text(proof, "leaf").lower(), text(proof, "problem")[:400], False]
