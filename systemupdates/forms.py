"""Forms of the System Updates pages."""

from typing import Any

from django import forms

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
