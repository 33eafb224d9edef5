"""
How the audit log tells of an operation: the act, by the name of its button where it has one.

The state that an operation comes to is in its own history. The log says what was done, and what
came of it.
"""

# Of each state that an operation comes to: what an administrator did, else what the software did.
_MOVES = {
    "replicating": ("", "Content replication started"),
    "assigned": ("Assign Now", "Update assigned"),
    "armed": ("", "Servers armed"),
    "activating": ("", "New CA activated"),
    "overlap": ("", "Overlap started"),
    "completed": ("Retire old CA", "Old CA retired"),
    "cancelling": ("Cancel", "Cancel"),
    "cancelled": ("", "Cancel finished"),
    "cancel_failed": ("", "Cancel failed"),
    "rolling_back": ("Roll back", "Roll back"),
    "rolled_back": ("", "Roll back finished"),
    "failed": ("", "Preparation failed"),
}
_OUTCOMES = {
    "replicating": "Content servers fetch it",
    "assigned": "Every device is offered it",
    "armed": "It can no longer be canceled",
    "overlap": "Both CAs are trusted",
    "cancelling": "The servers remove what the operation left",
    "cancelled": "The zone goes on with its CA",
    "rolled_back": "The old CA is active again",
}
# How a note begins of what changes no state, and the act.
_NOTES = {
    "Held: ": "Held",
    "Postponed ": "Postpone",
    "Retirement: ": "Retire by itself",
    "CA retired: ": "Retire CA",
    "Key destroyed: ": "Key destroyed",
    "Key moved: ": "Key moved",
    "Identity CA made: ": "Identity CA made",
    "Generate CSR ": "Generate CSR",
    "Imported ": "Import Certificate",
    "The future certificate ": "Future certificate made anew",
}


def told(kind: str, state: str, to: str, *, by: object, note: str) -> tuple[str, str]:
    """Return what was done to an operation that was in `state` and is in `to`, and the outcome."""
    if state != to:
        return _of_move(to, by=by, note=note)
    return _of_note(note) if note else (kind, "Begun; nothing live has changed")


def _of_move(state: str, *, by: object, note: str) -> tuple[str, str]:
    person, software = _MOVES[state]
    return (person or software) if by else software, note or _OUTCOMES.get(state, "")


def _of_note(note: str) -> tuple[str, str]:
    for begin, act in _NOTES.items():
        if note.startswith(begin):
            return act, note.removeprefix(begin) if begin.endswith(": ") else note
    return "Sign off", note
