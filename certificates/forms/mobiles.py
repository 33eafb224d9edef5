"""Re-enrolment links for all mobiles that need one."""

from django import forms

from devices.forms import EnrolAgainForm


class EnrolMobilesAgainForm(EnrolAgainForm):
    """How long the links are good, and whether mobiles that have one get another."""

    also_with_link = forms.BooleanField(
        label="Also for mobiles that have a link already",
        required=False,
        help_text="Their earlier links end: for when the file of these is lost.",
    )
