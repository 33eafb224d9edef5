"""Replication is left to itself, unless it ends when no device can get ready any more."""

from django.urls import reverse

from certificates.models.operation import State
from certificates.standing import Standing
from certificates.wording import short_text
from zcc.ground.situation import Answer


def late_content(standing: Standing) -> Answer | None:
    """Say what to do if a server looks for the content when the operation is to be armed."""
    operation = standing.operation
    if operation is None or operation.is_immediate or operation.state != State.REPLICATING:
        return None
    last = standing.behind
    if last is None or last.due_at < operation.cutoff_at:
        return None
    when = "after" if last.due_at >= operation.activate_at else "too late for"
    looks, planned = (
        short_text(at, now=standing.now) for at in (last.due_at, operation.activate_at)
    )
    more = f"{last.server.name} looks for the content at {looks}; activation {planned}."
    say = f"Replication ends {when} the activation: Assign Now, or Postpone."
    return Answer("warn", say, more, reverse("certificates:assign_now", args=[operation.pk]))
