"""The dialog `Rehearse`: with which test devices, and how long to wait for them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms

from certificates.actions.rehearsals import MAX_DEVICES
from devices.models import Device

MAX_MINUTES = 24 * 60
_MINUTES = f"Enter 1 to {MAX_MINUTES:,} minutes."
_NONE = "Choose at least one test device."


class RehearseForm(forms.Form):
    """Which of the zone's test devices take part, and for how long one that is away is awaited."""

    devices = forms.MultipleChoiceField(
        label="Test devices",
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": _NONE,
            "invalid_choice": "One of these devices is not a test device any more. Choose again.",
        },
    )
    minutes = forms.IntegerField(
        label="Wait for devices (minutes)",
        min_value=1,
        max_value=MAX_MINUTES,
        initial=15,
        help_text=(
            "At most so long before the activation, after it, and for the cleaning up. A device "
            "whose agent runs takes seconds."
        ),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), _MINUTES),
    )

    def __init__(self, *args: Any, test_devices: Sequence[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.test_devices = {str(device.pk): device for device in test_devices}
        choices = [(pk, device.name) for pk, device in self.test_devices.items()]
        field = self.fields["devices"]
        field.choices = choices  # type: ignore[attr-defined]
        field.initial = [pk for pk, _ in choices][:MAX_DEVICES]

    def clean_devices(self) -> list[Device]:
        """Return the chosen devices."""
        chosen: list[str] = self.cleaned_data["devices"]
        if len(chosen) > MAX_DEVICES:
            raise forms.ValidationError(f"A rehearsal has at most {MAX_DEVICES} devices.")
        return [self.test_devices[pk] for pk in chosen]

    @property
    def patience(self) -> timedelta:
        """Return how long to wait, of the valid form."""
        return timedelta(minutes=self.cleaned_data["minutes"])
