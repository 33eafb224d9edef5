"""Forms of Configuration > Certificates: they turn text into values and check what can be seen."""

import uuid
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from certificates import activation
from certificates.actions import authorities
from certificates.actions.authorities import MAX_YEARS, MIN_YEARS, RemintWishes
from certificates.models import CertificateAuthority
from certificates.models.operation import Policy
from certificates.wording import listed
from devices.models import Device
from pki import keys, names
from zcc.templatetags.numbers import count

_YEARS = f"A CA is valid for {MIN_YEARS} to {MAX_YEARS} years."


class PlainForm(forms.Form):
    """A dialog that only asks whether to go ahead."""


class PasswordForm(forms.Form):
    """Asks for the password again, before what is dangerous."""

    why_password = ""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": "Enter your password."},
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password"].help_text = self.why_password

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError("This is not your password. Check Caps Lock and try again.")
        return password


class RemintCAForm(PasswordForm):
    """What an administrator wishes for the new generation of the internal CA."""

    confirmed = forms.BooleanField(
        label="Yes, I want to remint the certificate authority",
        error_messages={
            "required": "Tick the box if you want to remint the certificate authority."
        },
    )
    common_name = forms.CharField(
        label="Common name", strip=False, error_messages={"required": "Enter a common name."}
    )
    key_type = forms.ChoiceField(label="Key length", choices=list(keys.KEY_TYPES.items()))
    years = forms.IntegerField(
        label="Valid for (years)",
        min_value=MIN_YEARS,
        max_value=MAX_YEARS,
        help_text=f"{MIN_YEARS} to {MAX_YEARS}",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), _YEARS),
    )
    include_additional_dns_names = forms.BooleanField(
        label="Include any additional DNS names for each server", required=False
    )
    activation_date = forms.DateField(
        label="Date",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"required": "Choose a date.", "invalid": "This is not a date."},
    )
    activation_time = forms.TimeField(
        label="Time",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": "Choose a time.", "invalid": "This is not a time of day."},
    )
    policy = forms.ChoiceField(
        label="If a device is late",
        choices=[
            (Policy.OVERLAP, "Overlap: it can still connect and catch up"),
            (Policy.STRICT, "Strict: it is cut off"),
        ],
        widget=forms.RadioSelect,
        help_text=(
            "Overlap: the old CA stays trusted beside the new one until you retire it. Strict: "
            "from the activation on only the new CA is trusted, and a late device needs you."
        ),
        error_messages={"required": "Choose Overlap or Strict."},
    )
    waive_silent = forms.BooleanField(
        label="Go on although the version of silent Satellites is not known", required=False
    )
    idempotency_key = forms.UUIDField(
        widget=forms.HiddenInput,
        initial=uuid.uuid4,
        error_messages={"required": "This form is incomplete. Close it and open it again."},
    )

    field_order = ("confirmed", "common_name", "key_type", "years")
    why_password = "Asked again because this changes the whole zone."

    def __init__(
        self,
        *args: Any,
        ca: CertificateAuthority,
        servers: list[Device],
        silent: list[Device],
        now: datetime,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ca, self.now = ca, now
        self.zone_of_time = timezone.get_current_timezone()
        time_zone = timezone.localtime(now).tzname()
        self.fields["activation_time"].label = f"Time ({time_zone})"
        self.fields["include_additional_dns_names"].help_text = _who_has_names(servers)
        if not silent:
            del self.fields["waive_silent"]

    def clean_common_name(self) -> str:
        try:
            return names.check_common_name(self.cleaned_data["common_name"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Make one instant of date and time, and check it against the CA."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        on, at = cleaned.get("activation_date"), cleaned.get("activation_time")
        if on is None or at is None:
            return cleaned
        try:
            cleaned["activate_at"] = activation.instant(on, at, zone=self.zone_of_time)
        except (activation.NoSuchTime, OverflowError) as error:
            self.add_error("activation_time", str(error))
            return cleaned
        years = cleaned.get("years", MAX_YEARS)
        why_not = authorities.why_not_at(self.ca, cleaned["activate_at"], years=years, now=self.now)
        if why_not:
            self.add_error("activation_date", why_not)
        return cleaned

    def wishes(self) -> RemintWishes:
        """Return what the valid form asks for."""
        asked = self.cleaned_data
        return RemintWishes(
            common_name=asked["common_name"],
            key_type=asked["key_type"],
            years=asked["years"],
            include_additional_dns_names=asked["include_additional_dns_names"],
            activate_at=asked["activate_at"],
            policy=asked["policy"],
            idempotency_key=asked["idempotency_key"],
            waive_silent=asked.get("waive_silent", False),
        )


def _who_has_names(servers: list[Device]) -> str:
    having = [server.name for server in servers if server.additional_dns_names]
    if not having:
        return "No server has any."
    have = "has" if len(having) == 1 else "have"
    return f"{count(len(having), 'server')} {have} some: {listed(having)}."


class RetireOldCAForm(PasswordForm):
    """Ends the overlap; asked twice because it cannot be undone."""

    confirmed = forms.BooleanField(
        label="Yes, I want to retire the old CA. It cannot be undone.",
        help_text=(
            "Servers stop sending the link, and devices forget the old CA at their next refresh."
        ),
        error_messages={"required": "Tick the box if you want to retire the old CA."},
    )
    field_order = ("confirmed", "password")
    why_password = "Asked again because this cannot be undone."


class PostponeForm(forms.Form):
    """Another date and time for the activation."""

    activation_date = forms.DateField(
        label="Date",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={"required": "Choose a date.", "invalid": "This is not a date."},
    )
    activation_time = forms.TimeField(
        label="Time",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={"required": "Choose a time.", "invalid": "This is not a time of day."},
    )

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone_of_time = timezone.get_current_timezone()
        self.fields["activation_time"].label = f"Time ({timezone.localtime(now).tzname()})"

    def clean(self) -> dict[str, Any]:
        """Make one instant of date and time."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        on, at = cleaned.get("activation_date"), cleaned.get("activation_time")
        if on is not None and at is not None:
            try:
                cleaned["activate_at"] = activation.instant(on, at, zone=self.zone_of_time)
            except (activation.NoSuchTime, OverflowError) as error:
                self.add_error("activation_time", str(error))
        return cleaned


class ReasonForm(PasswordForm):
    """Why, and the password: for what somebody will ask about later."""

    reason = forms.CharField(
        label="Reason",
        max_length=300,
        help_text="Kept with your name in the operation's history.",
        error_messages={"required": "Say why: somebody will ask."},
    )
    field_order = ("reason", "password")


class SignOffForm(ReasonForm):
    """The devices that stand in the dialog, so that nobody else is signed off."""

    devices = forms.CharField(widget=forms.HiddenInput, max_length=2_000_000, required=False)
    why_password = "Asked again because devices may lose contact."

    def clean_devices(self) -> set[int]:
        """Return the ids of the devices that were shown."""
        listed_ids = self.cleaned_data["devices"].split(",")
        try:
            return {int(pk) for pk in listed_ids if pk}
        except ValueError as error:
            raise forms.ValidationError("This form is incomplete. Open it again.") from error


class RollBackForm(ReasonForm):
    """Why the old CA is to be the active one again."""

    why_password = "Asked again because this changes the whole zone."


class ActivationTimeForm(forms.Form):
    """The date and time that stand in the dialog right now."""

    activation_date = forms.DateField()
    activation_time = forms.TimeField()
