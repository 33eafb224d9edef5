"""Dialogs about what a server or device is in the zone: its roles, and the end of them."""

from django import forms

from certificates.forms.passwords import PasswordForm


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


class RetirePrimaryServerForm(PasswordForm):
    """Takes a Primary Server out of the zone."""

    confirmed = forms.BooleanField(
        label="Yes, I want to retire this Primary Server",
        help_text="Stop its processes and keep them stopped. It can be brought back.",
        error_messages={"required": "Tick the box if you want to retire this Primary Server."},
    )
    field_order = ("confirmed", "password")
    why_password = "Asked again because devices stop to use this server."
