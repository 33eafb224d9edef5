"""Dialogs that ask for the password again, and for a reason."""

from typing import Any

from django import forms


class PlainForm(forms.Form):
    """A dialog that only asks whether to go ahead."""


class PasswordForm(forms.Form):
    """Asks for the password again, before what is dangerous."""

    why_password = ""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password"].help_text = self.why_password

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError("This is not your password. Check Caps Lock and try again.")
        return password


class ReasonForm(PasswordForm):
    """Why, and the password: for what somebody will ask about later."""

    reason = forms.CharField(
        label="Reason",
        max_length=300,
        help_text="Kept with your name in the operation's history.",
        error_messages={"required": "Say why: somebody will ask."},
    )
    field_order: tuple[str, ...] = ("reason", "password")
