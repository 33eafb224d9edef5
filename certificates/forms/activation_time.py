"""When the new certificates are activated, asked for as a date and a time of day."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from certificates import activation


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
