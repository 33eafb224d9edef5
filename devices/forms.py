"""Forms of the device page."""

from datetime import timedelta
from typing import Any

from django import forms

from devices import folders, schedules
from devices.models import Device, Folder, Kind
from pki import names


class AdditionalDNSNamesForm(forms.Form):
    """The names a server certificate carries beside the server's own DNS name."""

    names = forms.CharField(
        label="Names, one a line",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "z-mono"}),
        help_text=(
            "Used for server certificates when an operation includes additional DNS names. "
            "A name that you add while one is in progress makes the server's future certificate "
            "Outdated, and Certificates offers to mend that; once the operation is armed, the name "
            "waits for the next one."
        ),
    )

    def clean_names(self) -> list[str]:
        """Return the lines that have something on them."""
        text: str = self.cleaned_data["names"]
        return [line.strip() for line in text.splitlines() if line.strip()]


class TestDeviceForm(forms.Form):
    """Whether a device takes part in rehearsals."""

    is_test = forms.BooleanField(
        label="Test device",
        required=False,
        help_text="It can be chosen for a rehearsal, which changes nothing that it works with.",
    )


class EnrolDeviceForm(forms.Form):
    """What a device that is about to join will be."""

    kind = forms.ChoiceField(
        label="Kind",
        choices=[(kind.value, kind.label) for kind in (Kind.WORKSTATION, Kind.SERVER)],
        help_text="Satellite roles can be given to either once it is here.",
    )
    name = forms.CharField(
        label="Name",
        max_length=64,
        required=False,
        help_text="Empty: the name that the host has.",
    )
    replaces = forms.BooleanField(
        label="It replaces the device of this name",
        required=False,
        help_text=(
            "For a device that was installed again. Its page and its history stay; an agent that "
            "still runs under this name is refused from then on."
        ),
    )
    folder = forms.CharField(
        label="Folder",
        max_length=120,
        initial="/",
        help_text="Where it appears, such as /Workstations/Oslo. A slash: by its kind.",
    )

    def clean_name(self) -> str:
        """It is the device's DNS name, too, which decides what it may be."""
        name: str = self.cleaned_data["name"]
        try:
            return names.check_dns_name(name) if name else ""
        except ValueError as error:
            raise forms.ValidationError(f"{error} A device's name is its DNS name.") from error

    def clean_folder(self) -> str:
        return _folder(self.cleaned_data["folder"], self.cleaned_data.get("kind"))


class RegistrationKeyForm(forms.Form):
    """What a new registration key is for, and how long and often it lets devices in."""

    name = forms.CharField(
        label="Name",
        max_length=64,
        help_text="For yourself: “Oslo, new laptops”.",
        error_messages={"required": "Give the key a name, so that you know it again."},
    )
    folder = forms.CharField(
        label="Folder",
        max_length=120,
        initial="/",
        help_text="Where its devices appear, such as /Workstations/Oslo. A slash: by their kind.",
    )
    days = forms.IntegerField(
        label="Valid for (days)",
        min_value=1,
        max_value=365,
        initial=7,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), "A key is valid for 1 to 365 days."
        ),
    )
    uses = forms.IntegerField(
        label="For how many devices",
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text="Empty: any number.",
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), "Enter a number of devices, or leave it empty."
        ),
    )

    def clean_folder(self) -> str:
        return _folder(self.cleaned_data["folder"])


def _folder(path: str, kind: str | None = None) -> str:
    """Return the folder with one slash in front and none behind: one for this kind."""
    try:
        return folders.check_place(path, kind) if kind else folders.check_path(path)
    except folders.NotPossible as error:
        raise forms.ValidationError(str(error)) from error


class FolderNameForm(forms.Form):
    """The name of a folder."""

    name = forms.CharField(
        label="Name",
        max_length=folders.LONGEST_NAME,
        error_messages={"required": "Give the folder a name."},
    )

    def clean_name(self) -> str:
        """Return the name without spaces around it."""
        try:
            return folders.check_name(self.cleaned_data["name"])
        except folders.NotPossible as error:
            raise forms.ValidationError(str(error)) from error


class MoveDevicesForm(forms.Form):
    """The folder that the selected devices are put into."""

    folder = forms.ModelChoiceField(
        label="Folder",
        queryset=Folder.objects.none(),
        empty_label=None,
        error_messages={
            "required": "Choose a folder.",
            "invalid_choice": "This folder is not there any more. Choose another one.",
        },
    )

    def __init__(self, *args: Any, devices: list[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = {device.kind for device in devices}
        suits = [row.pk for row in Folder.objects.all() if kinds <= set(row.kinds)]
        choice: Any = self.fields["folder"]
        choice.queryset = Folder.objects.filter(pk__in=suits)
        choice.label_from_instance = lambda folder: folder.path


class ScheduleForm(forms.Form):
    """How often agents refresh; of the zone, or what overrides it."""

    SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
    OUTSIDE = "Choose 10 seconds to 30 days."

    override = forms.BooleanField(label="Override", required=False)
    number = forms.IntegerField(
        label="Refresh every",
        min_value=1,
        max_value=schedules.LONGEST // timedelta(seconds=1),
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), OUTSIDE),
    )
    unit = forms.ChoiceField(label="Unit", choices=[(unit, unit) for unit in SECONDS])
    tell = forms.BooleanField(
        label="Refresh these devices now",
        required=False,
        help_text="Otherwise each learns of it at its next refresh.",
    )

    def __init__(self, *args: Any, can_inherit: bool, can_tell: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_inherit:
            del self.fields["override"]
        elif self.is_bound and "override" not in self.data:
            self.fields["number"].required = self.fields["unit"].required = False
        if not can_tell:
            del self.fields["tell"]

    @classmethod
    def initial_of(cls, interval: timedelta) -> dict[str, object]:
        """Return what the fields show for an interval: the largest unit that divides it."""
        seconds = max(round(interval.total_seconds()), 1)
        unit = next(unit for unit in reversed(cls.SECONDS) if seconds % cls.SECONDS[unit] == 0)
        return {"number": seconds // cls.SECONDS[unit], "unit": unit}

    def clean(self) -> dict[str, Any]:
        """Work out the interval; None where it is inherited."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["interval"] = None
        if not cleaned.get("override", True) or self.errors:
            return cleaned
        interval = timedelta(seconds=cleaned["number"] * self.SECONDS[cleaned["unit"]])
        if not schedules.SHORTEST <= interval <= schedules.LONGEST:
            self.add_error("number", self.OUTSIDE)
        return {**cleaned, "interval": interval}


MOST_DAYS = 90  # a link lies in a mail or a chat; whoever reads it first has the identity


def _days(initial: int) -> forms.IntegerField:
    return forms.IntegerField(
        label="Valid for (days)",
        min_value=1,
        max_value=MOST_DAYS,
        initial=initial,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"),
            f"A link is valid for 1 to {MOST_DAYS} days.",
        ),
    )


class EnrolMobileForm(forms.Form):
    """How a new mobile is to be called, and how long its link is good."""

    name = forms.CharField(
        label="Name",
        max_length=64,
        help_text="As it is to stand in the list of devices, and in its certificate.",
        error_messages={
            "required": "Give the mobile a name.",
            "max_length": "A mobile's name has 1 to 64 printable characters and no slash.",
        },
    )
    folder = forms.CharField(label="Folder", max_length=120, initial="/Mobile Devices")
    days = _days(7)

    def clean_folder(self) -> str:
        return _folder(self.cleaned_data["folder"], Kind.MOBILE)


class EnrolAgainForm(forms.Form):
    """How long a re-enrolment link is good."""

    days = _days(14)
