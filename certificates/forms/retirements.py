"""Dialogs that end the trust in a CA, at once or when nobody has needed it for long."""

from typing import Any

from django import forms

from certificates.actions.retirements import MAX_DAYS, MIN_DAYS
from certificates.forms.passwords import PasswordForm

_DAYS = f"Choose {MIN_DAYS} to {MAX_DAYS} days."


class RetireByItselfForm(PasswordForm):
    """After how many quiet days the overlap ends by itself, or that it does not."""

    by_itself = forms.BooleanField(
        label="Retire the old CA by itself",
        required=False,
        help_text="Without it only an administrator does, or its expiry.",
    )
    days = forms.IntegerField(
        label="After so many quiet days",
        min_value=MIN_DAYS,
        max_value=MAX_DAYS,
        required=False,
        help_text="Days on which no running agent reports that it trusts only the old CA.",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), _DAYS),
    )
    field_order = ("by_itself", "days", "password")
    why_password = "Asked again because a retirement cannot be undone."

    def clean(self) -> dict[str, Any]:
        """Days are needed if it is to happen by itself."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("by_itself") and "days" in cleaned and cleaned["days"] is None:
            self.add_error("days", _DAYS)
        return cleaned

    @property
    def after(self) -> int | None:
        """Return the days of the valid form; None: not by itself."""
        return self.cleaned_data["days"] if self.cleaned_data["by_itself"] else None


class RetireRolledBackCAForm(PasswordForm):
    """Retires the CA of an operation that was rolled back."""

    confirmed = forms.BooleanField(
        label="Yes, I want to retire the rolled-back CA. It cannot be undone.",
        help_text="Devices forget it at their next refresh. The active CA stays as it is.",
        error_messages={"required": "Tick the box if you want to retire the rolled-back CA."},
    )
    field_order = ("confirmed", "password")
    why_password = "Asked again because this cannot be undone."
