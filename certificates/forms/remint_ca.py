"""What an administrator wishes for the new generation of the internal CA."""

import uuid
from typing import Any

from django import forms

from certificates.actions import authorities
from certificates.actions.authorities import MAX_YEARS, MIN_YEARS, RemintWishes
from certificates.forms.activation_time import ActivationForm
from certificates.models import CertificateAuthority
from certificates.models.operation import Policy
from certificates.still_trusted import StillTrusted
from certificates.wording import listed
from devices.models import Device
from pki import keys, names
from zcc.templatetags.numbers import count

YEARS = f"A CA is valid for {MIN_YEARS} to {MAX_YEARS} years."


class RemintCAForm(ActivationForm):
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
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), YEARS),
    )
    include_additional_dns_names = forms.BooleanField(
        label="Include any additional DNS names for each server", required=False
    )
    although_trusted = forms.BooleanField(
        label="Yes, remint again although a previous CA is still trusted",
        error_messages={
            "required": "Tick the box if you want another CA beside those that are still trusted."
        },
    )
    idempotency_key = forms.UUIDField(
        widget=forms.HiddenInput,
        initial=uuid.uuid4,
        error_messages={"required": "This form is incomplete. Close it and open it again."},
    )

    field_order = ("confirmed", "common_name", "key_type", "years")

    def __init__(
        self,
        *args: Any,
        ca: CertificateAuthority,
        servers: list[Device],
        older: StillTrusted,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, ca=ca, **kwargs)
        self.fields["include_additional_dns_names"].help_text = who_has_names(servers)
        if not older:
            del self.fields["although_trusted"]

    def clean_common_name(self) -> str:
        try:
            return names.check_common_name(self.cleaned_data["common_name"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Check the instant against the CA."""
        cleaned = super().clean()
        if "activate_at" in cleaned:
            years = cleaned.get("years", MAX_YEARS)
            at = cleaned["activate_at"]
            why_not = authorities.why_not_at(self.ca, at, years=years, now=self.now)
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
            activate_at=asked.get("activate_at", self.now),
            policy=asked.get("policy", Policy.OVERLAP),
            idempotency_key=asked["idempotency_key"],
            waive_silent=asked.get("waive_silent", False),
        )


def who_has_names(servers: list[Device]) -> str:
    """Return which servers have additional DNS names, as the hint under the box."""
    having = [server.name for server in servers if server.additional_dns_names]
    if not having:
        return "No server has any."
    have = "has" if len(having) == 1 else "have"
    return f"{count(len(having), 'server')} {have} some: {listed(having)}."
