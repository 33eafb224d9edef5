"""Forms of the System Updates pages."""

from django import forms

from devices.models import Device

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
