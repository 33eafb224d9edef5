"""When the new certificates are activated, asked for as a date and a time of day."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from certificates import activation
from certificates.forms.passwords import PasswordForm
from certificates.models import CertificateAuthority
from certificates.models.operation import Policy
from devices.models import Device


class ActivationTimeForm(forms.Form):
    """A date and a time of day, as they stand in the dialog: one instant, `activate_at`."""

    activation_date = forms.DateField(
        label="Date",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"required": "Choose a date.", "invalid": "This is not a date."},
    )
    activation_time = forms.TimeField(
        label="Time",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": "Choose a time.", "invalid": "This is not a time of day."},
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = now
        self.zone_of_time = timezone.get_current_timezone()
        self.fields["activation_time"].label = f"Time ({timezone.localtime(now).tzname()})"

    def clean(self) -> dict[str, Any]:
        """Make one instant of date and time."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        on, at = cleaned.get("activation_date"), cleaned.get("activation_time")
        if on is not None and at is not None:
            try:
                cleaned["activate_at"] = activation.instant(on, at, zone=self.zone_of_time)
            except (activation.NoSuchTime, OverflowError) as error:
                self.add_error("activation_time", str(error))
        return cleaned


class ActivationForm(ActivationTimeForm, PasswordForm):
    """
    The last questions of an operation that replaces the CA: when, what of the late, who asks.

    When the CA has expired the activation is Immediate: there is no time to choose, nobody to wait
    for.
    """

    policy = forms.ChoiceField(
        label="If a device is late",
        choices=[
            (Policy.OVERLAP, "Overlap: it can still connect and catch up"),
            (Policy.STRICT, "Strict: it is cut off"),
        ],
        widget=forms.RadioSelect,
        help_text=(
            "Overlap: the old CA stays trusted beside the new one until you retire it. Strict: "
            "from the activation on only the new CA is trusted, and a late device needs you."
        ),
        error_messages={"required": "Choose Overlap or Strict."},
    )
    waive_silent = forms.BooleanField(
        label="Go on although the version of these Satellites is not known", required=False
    )
    why_password = "Asked again because this changes the whole zone."

    def __init__(
        self, *args: Any, ca: CertificateAuthority, silent: list[Device], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ca = ca
        self.is_immediate = ca.is_expired(self.now)
        if self.is_immediate:
            for name in ("activation_date", "activation_time", "policy"):
                del self.fields[name]
        if self.is_immediate or not silent:
            del self.fields["waive_silent"]
