"""What an administrator decides about an operation: postpone, sign off, roll back, retire."""

from typing import Any

from django import forms

from certificates.forms.activation_time import ActivationTimeForm
from certificates.forms.passwords import ReasonForm
from certificates.models import CertificateAuthority


class PostponeForm(ActivationTimeForm):
    """Another date and time for the activation."""


class SignOffForm(ReasonForm):
    """The devices that stand in the dialog, so that nobody else is signed off."""

    devices = forms.CharField(widget=forms.HiddenInput, max_length=2_000_000, required=False)
    why_password = "Asked again because devices may lose contact."

    def clean_devices(self) -> set[int]:
        """Return the ids of the devices that were shown."""
        listed_ids = self.cleaned_data["devices"].split(",")
        try:
            return {int(pk) for pk in listed_ids if pk}
        except ValueError as error:
            raise forms.ValidationError("This form is incomplete. Open it again.") from error


class RollBackForm(ReasonForm):
    """Why the old CA is to be the active one again."""

    why_password = "Asked again because this changes the whole zone."


# Nobody here signs a link in its name, and its key is elsewhere.
_EXTERNAL = "Devices forget the old CA at their next refresh."


class RetireOldCAForm(ReasonForm):
    """Ends the overlap; asked twice because it cannot be undone, and why if devices are lost."""

    confirmed = forms.BooleanField(
        label="Yes, I want to retire the old CA. It cannot be undone.",
        help_text=(
            "Servers stop sending the link, and devices forget the old CA at their next refresh. "
            "Its key is destroyed once all that it signed has expired."
        ),
        error_messages={"required": "Tick the box if you want to retire the old CA."},
    )
    field_order = ("confirmed", "reason", "password")
    why_password = "Asked again because this cannot be undone."

    def __init__(
        self, *args: Any, loses_devices: bool, old_ca: CertificateAuthority, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if not old_ca.is_internal:
            self.fields["confirmed"].help_text = _EXTERNAL
        if not loses_devices:
            del self.fields["reason"]
