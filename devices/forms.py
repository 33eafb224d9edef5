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
