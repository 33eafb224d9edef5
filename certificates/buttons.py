"""The buttons of the pane `Zone Certificate Authority`: what each opens, or why it does not."""

from dataclasses import dataclass, replace

from django.urls import reverse

from certificates.actions import key_requests, rehearsals
from certificates.models import Operation
from certificates.models.operation import State
from certificates.standing import Standing
from zcc.ground import access
from zcc.templatetags.times import planned_text

_IN_FORCE_SOON = (State.ARMED, State.ACTIVATING)

NO_BACKUP_RIGHT = (
    "You may look, but not back up or restore the CA. An administrator can give you that right."
)
NO_RIGHT = "You may look, but not manage certificates. An administrator can give you that right."


@dataclass(frozen=True)
class Button:
    """
    A button: with `why` it is disabled and says so, otherwise it opens the dialog at `url`.

    Those that are used rarely are in a menu behind the others.
    """

    text: str
    icon: str
    url: str = ""
    why: str = ""
    is_rare: bool = False

    @property
    def id(self) -> str:
        return self.text.lower().replace(" ", "-")


def ca_buttons(standing: Standing, user: object) -> list[Button]:
    """
    Return the buttons of the pane.

    An external CA is not reminted here, and what is done to the zone's own keys beside it is rare.
    """
    authority = standing.authority
    if authority is None:
        return []
    view = reverse("certificates:view_certificate", args=["ca", authority.pk])
    buttons = [
        Button("View Certificate", "eye", view),
        Button(
            "Change CA",
            "arrow-left-right",
            reverse("certificates:change_ca"),
            why_not_change(standing, user),
        ),
    ]
    rehearse = Button(
        "Rehearse",
        "check2-circle",
        reverse("certificates:rehearse"),
        why_not_rehearse(standing, user),
        is_rare=True,
    )
    if not authority.is_internal:
        own = [replace(button, is_rare=True) for button in key_buttons(standing, user)]
        return [*buttons, rehearse, *own]
    remint = Button(
        "Remint CA",
        "arrow-repeat",
        reverse("certificates:remint_ca"),
        why_not_remint(standing, user),
    )
    return [
        *buttons,
        remint,
        rehearse,
        *key_buttons(standing, user),
    ]


def key_buttons(standing: Standing, user: object) -> list[Button]:
    """Return the buttons about the keys that go with the CA role."""
    return [
        Button(
            "Move CA Role",
            "box-arrow-right",
            reverse("certificates:move_ca_role"),
            why_not_move(standing, user),
        ),
        Button(
            "Backup CA",
            "download",
            reverse("certificates:backup_ca"),
            why_not_back_up(standing, user),
        ),
        Button(
            "Verify backup",
            "patch-check",
            reverse("certificates:verify_backup"),
            "" if access.has(user, "back_up_ca") else NO_BACKUP_RIGHT,
            is_rare=True,
        ),
        Button(
            "Restore CA",
            "upload",
            reverse("certificates:restore_ca"),
            why_not_restore(standing, user),
        ),
    ]


def why_not_move(standing: Standing, user: object) -> str:
    """Return why the CA role cannot be moved now, nothing if it can."""
    if standing.open_operation is not None:
        return why_busy(standing.open_operation)
    if not access.has(user, "manage_certificates"):
        return NO_RIGHT
    return standing.ca_server_is_away


def why_not_back_up(standing: Standing, user: object) -> str:
    """Return why no backup can be made now, nothing if one can."""
    if standing.open_operation is not None:
        return why_busy(standing.open_operation)
    return standing.ca_server_is_away if access.has(user, "back_up_ca") else NO_BACKUP_RIGHT


def why_not_restore(standing: Standing, user: object) -> str:
    """Return why no backup can be restored now, nothing if one can."""
    abandoned = key_requests.abandoned_operation(standing.zone, now=standing.now)
    if standing.open_operation is not None and standing.open_operation != abandoned:
        return why_busy(standing.open_operation)
    if not access.has(user, "back_up_ca"):
        return NO_BACKUP_RIGHT
    return key_requests.why_not_in_overlap(standing.zone)


def why_not_remint(standing: Standing, user: object) -> str:
    """Return why the CA cannot be reminted now, nothing if it can."""
    return _why_not_replaced(standing, user)


def why_not_change(standing: Standing, user: object) -> str:
    """Return why the CA cannot be changed now, nothing if it can."""
    return _why_not_replaced(standing, user)


def why_not_rehearse(standing: Standing, user: object) -> str:
    """Return why no rehearsal can be started now, nothing if one can."""
    if not access.has(user, "manage_certificates"):
        return NO_RIGHT
    return rehearsals.why_not(standing.zone) or standing.ca_server_is_away


def _why_not_replaced(standing: Standing, user: object) -> str:
    if standing.open_operation is not None:
        return why_busy(standing.open_operation)
    if not access.has(user, "manage_certificates"):
        return NO_RIGHT
    return ""


def why_busy(operation: Operation) -> str:
    """Return why an open operation leaves no room for another, and what to do."""
    name = operation.get_kind_display()
    if operation.state in (State.CANCELLING, State.CANCEL_FAILED):
        return f"{name} is being canceled. Wait until every server has confirmed."
    if operation.is_held:
        return f"{name} is held. Mend what holds it, or cancel it first."
    if operation.state in _IN_FORCE_SOON:
        return f"{name} is being activated. Wait until the new CA is in force."
    on = planned_text(operation.activate_at)
    return f"{name} is in progress. Cancel it, or wait until it is activated on {on}."
