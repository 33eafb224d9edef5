"""Asking for the evidence pack of an operation; a worker makes it."""

from datetime import datetime
from typing import Any

from certificates.models import EvidencePack, Operation


class BeingMade(Exception):
    """It was asked for already; the message is for the user."""


def request_pack(operation: Operation, *, by: Any, now: datetime) -> EvidencePack:
    """Let the operation's evidence pack be made, or made again. Raises BeingMade."""
    pack, is_new = EvidencePack.objects.defer("content").get_or_create(
        operation=operation, defaults={"requested_by": by, "requested_at": now}
    )
    if is_new:
        return pack
    if pack.is_being_made:
        raise BeingMade("The evidence pack is being made already. It appears on this page.")
    rows = EvidencePack.objects.filter(pk=pack.pk, requested_at=pack.requested_at)
    if not rows.update(requested_by=by, requested_at=now, retry_at=None):
        raise BeingMade("Somebody else has just asked for it. It appears on this page.")
    return pack
