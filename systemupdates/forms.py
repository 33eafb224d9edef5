"""Forms of the System Updates pages."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from devices.forms import ScheduleForm
from devices.models import Device, Zone
from systemupdates.models import DeploymentStage

MOST = 1000


class SelectedDevicesForm(forms.Form):
    """Which devices of an update an action is for: the ticked rows of Status by Device."""

    device = forms.ModelMultipleChoiceField(
        queryset=Device.objects.all(),
        error_messages={"required": "Select a device first."},
    )

    def clean_device(self) -> list[Device]:
        """Return the devices, at most a page of them."""
        devices = list(self.cleaned_data["device"])
        if len(devices) > MOST:
            raise forms.ValidationError(f"At most {MOST} devices can be chosen at once.")
        return devices


class StageNameForm(forms.Form):
    """The name of a deployment stage."""

    name = forms.CharField(
        label="Name",
        max_length=64,
        error_messages={"required": "Give the stage a name."},
    )

    def clean_name(self) -> str:
        """Return the name, if it can be shown."""
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("A stage's name has printable characters only.")
        return name


class AssignStageForm(forms.Form):
    """The stage that the selected devices are put into."""

    stage = forms.ModelChoiceField(
        label="Stage",
        queryset=DeploymentStage.objects.none(),
        required=False,
        empty_label="No stage",
        error_messages={"invalid_choice": "This stage is not there any more. Choose another one."},
    )

    def __init__(self, *args: Any, zone: Zone, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["stage"]
        choice.queryset = zone.stages.all()
        choice.label_from_instance = lambda stage: stage.name


class ReplicationSettingsForm(forms.Form):
    """When content servers look for content, and how fast they fetch it."""

    MODES = [("interval", "By an interval"), ("times", "At fixed times of the day")]
    OUTSIDE = "Choose 10 seconds to 7 days."
    SHORTEST, LONGEST = timedelta(seconds=10), timedelta(days=7)
    THROTTLE = "Choose 1 to 1,000,000 kB a second, or leave it empty."

    mode = forms.ChoiceField(label="Schedule", choices=MODES)
    number = forms.IntegerField(
        label="Every",
        min_value=1,
        max_value=7 * 24 * 3600,
        required=False,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), OUTSIDE),
    )
    unit = forms.ChoiceField(
        label="Unit", choices=[(unit, unit) for unit in ScheduleForm.SECONDS], required=False
    )
    times = forms.CharField(
        label="Times",
        required=False,
        max_length=200,
        help_text="Separated by commas: 02:00, 14:30.",
    )
    throttle = forms.IntegerField(
        label="Throttle (kB a second)",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="For each server that fetches. Empty: no limit.",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), THROTTLE),
    )

    def clean_times(self) -> list[str]:
        """Return the times as HH:MM, each once."""
        texts = [part.strip() for part in self.cleaned_data["times"].split(",") if part.strip()]
        try:
            found = {datetime.strptime(part, "%H:%M").strftime("%H:%M") for part in texts}
        except ValueError as error:
            raise forms.ValidationError("Write times as 02:00, 14:30.") from error
        return sorted(found)

    def clean(self) -> dict[str, Any]:
        """The chosen schedule needs its own field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("mode") == "times" and not cleaned.get("times", True):
            self.add_error("times", "Write at least one time, such as 02:00.")
        if cleaned.get("mode") != "interval" or "number" not in cleaned:
            return cleaned
        unit = ScheduleForm.SECONDS.get(cleaned.get("unit", ""), 1)
        interval = timedelta(seconds=(cleaned["number"] or 0) * unit)
        if not self.SHORTEST <= interval <= self.LONGEST:
            self.add_error("number", self.OUTSIDE)
        return {**cleaned, "interval": interval}

    @property
    def interval(self) -> timedelta | None:
        """Return the interval of the valid form; None: at fixed times."""
        return self.cleaned_data.get("interval")

    @property
    def fixed_times(self) -> list[str]:
        """Return the fixed times of the valid form; none: by the interval."""
        return self.cleaned_data["times"] if self.cleaned_data["mode"] == "times" else []
