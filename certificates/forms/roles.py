"""The dialog in which a managed device is given Satellite roles."""

from django import forms


class SatelliteRolesForm(forms.Form):
    """Which roles the device has."""

    content = forms.BooleanField(
        label="Content",
        required=False,
        help_text="Holds the content of updates and serves it to devices, on port 7481.",
    )
    authentication = forms.BooleanField(
        label="Authentication",
        required=False,
        help_text=(
            "Terminates TLS with a certificate of its own, on port 8443. Its agent needs the "
            "cryptography package of Python."
        ),
    )
