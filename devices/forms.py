"""Forms of the device page."""

from django import forms


class AdditionalDNSNamesForm(forms.Form):
    """The names a server certificate carries beside the server's own DNS name."""

    names = forms.CharField(
        label="Names, one a line",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "z-mono"}),
        help_text=(
            "Used for server certificates when an operation includes additional DNS names. "
            "What you change while one is in progress takes effect with the next one."
        ),
    )

    def clean_names(self) -> list[str]:
        """Return the lines that have something on them."""
        text: str = self.cleaned_data["names"]
        return [line.strip() for line in text.splitlines() if line.strip()]


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
        help_text="Where its devices appear, such as /Workstations/Oslo.",
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


def _folder(text: str) -> str:
    """Return the folder with one slash in front and none behind."""
    parts = [part.strip() for part in text.split("/") if part.strip()]
    if not all(part.isprintable() for part in parts):
        raise forms.ValidationError("A folder's name has printable characters only.")
    return "/" + "/".join(parts)


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
        return _folder(self.cleaned_data["folder"])


class EnrolAgainForm(forms.Form):
    """How long a re-enrolment link is good."""

    days = _days(14)
