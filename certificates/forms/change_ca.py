"""The steps of the dialog `Change CA`, a form each."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from certificates import uploads
from certificates.actions import authorities
from certificates.actions.authorities import MAX_YEARS, MIN_YEARS
from certificates.actions.change_ca import SUBJECT_LENGTHS
from certificates.forms.activation_time import ActivationForm
from certificates.forms.remint_ca import YEARS, who_has_names
from certificates.models import CertificateAuthority
from certificates.models.operation import CsrMode, WithoutCertificate
from certificates.still_trusted import StillTrusted
from devices.models import Device
from pki import chains, keys, names, trusted_root
from pki.trusted_root import TrustedRoot

TO_INTERNAL, TO_EXTERNAL = "internal", "external"
ROOT_FILES = ".der,.cer,.crt,.p7b,.pem,.cert"
_DNS_NAMES = "Include any additional DNS names for each server"


class ChangeAuthorityForm(forms.Form):
    """Step `Certificate authority`: internal or external, and what that CA is to be."""

    confirmed = forms.BooleanField(
        label="Yes, I want to change the certificate authority",
        error_messages={
            "required": "Tick the box if you want to change the certificate authority."
        },
    )
    change_to = forms.ChoiceField(
        label="Change to",
        choices=[
            (TO_INTERNAL, "Change to internal certificate authority"),
            (TO_EXTERNAL, "Change to external certificate authority"),
        ],
    )
    server = forms.ChoiceField(
        label="Certificate server",
        help_text="The Primary Server that makes the new CA and keeps its key.",
        error_messages={"required": "Choose a Primary Server."},
    )
    common_name = forms.CharField(
        label="Subject",
        strip=False,
        error_messages={"required": "Enter a subject, such as the name of the zone."},
    )
    key_type = forms.ChoiceField(label="Key Length", choices=list(keys.KEY_TYPES.items()))
    years = forms.IntegerField(
        label="Valid for (years)",
        min_value=MIN_YEARS,
        max_value=MAX_YEARS,
        help_text=f"{MIN_YEARS} to {MAX_YEARS}",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), YEARS),
    )
    include_additional_dns_names = forms.BooleanField(label=_DNS_NAMES, required=False)
    root = forms.FileField(
        label="Trusted root certificate",
        required=False,
        allow_empty_file=True,
        help_text=(
            ".der, .cer, .crt, .p7b, .pem or .cert; for an intermediate CA, the complete chain."
        ),
        widget=forms.FileInput(attrs={"accept": ROOT_FILES}),
    )

    def __init__(
        self,
        *args: Any,
        ca: CertificateAuthority,
        servers: list[Device],
        known_root: TrustedRoot | None,
        refusal: str,
        now: datetime,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ca, self.now, self.known_root, self.refusal = ca, now, known_root, refusal
        primaries = [server for server in servers if server.is_primary_server]
        self.fields["server"].choices = [  # type: ignore[attr-defined]
            (str(server.pk), _named(server, ca)) for server in primaries
        ]
        self.fields["include_additional_dns_names"].help_text = who_has_names(servers)

    def clean_common_name(self) -> str:
        try:
            return names.check_common_name(self.cleaned_data["common_name"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_root(self) -> TrustedRoot | None:
        """Read what was uploaded; without an upload it is what was read, or refused, before."""
        upload = self.cleaned_data["root"]
        if upload:
            return self._read(upload)
        if self.refusal:
            raise forms.ValidationError(self.refusal)
        return self.known_root

    def _read(self, upload: UploadedFile) -> TrustedRoot:
        try:
            if (upload.size or 0) > chains.MAX_FILE:
                raise ValueError("The file is larger than 1 MiB. Choose the root's file.")
            found = trusted_root.read(upload.read(), now=self.now)
        except ValueError as error:
            self.refusal = f"{uploads.shown(upload.name or '')}: {error}"
            raise forms.ValidationError(self.refusal) from error
        self.refusal = ""
        return found

    def clean(self) -> dict[str, Any]:
        """What belongs to the other choice does not count, whatever stands there."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("change_to") == TO_INTERNAL:
            self.errors.pop("root", None)
        elif cleaned.get("change_to") == TO_EXTERNAL:
            for name in ("server", "common_name", "key_type", "years"):
                self.errors.pop(name, None)
            if "root" not in self.errors and cleaned.get("root") is None:
                self.add_error("root", "Choose the file with the trusted root certificate.")
        return cleaned

    @property
    def has_file(self) -> bool:
        """Whether a file was chosen now, good or bad."""
        return self.is_bound and bool(self.files.get("root"))

    @property
    def read_root(self) -> TrustedRoot | None:
        """The root that was uploaded now, if it is one."""
        uploaded = self.has_file and "root" not in self.errors
        return self.cleaned_data.get("root") if uploaded else None


def _named(server: Device, ca: CertificateAuthority) -> str:
    return f"{server.name} (CA server today)" if ca.is_role_of(server) else server.name


class ChangeCSRForm(forms.Form):
    """Step `Generate CSR`: who makes the requests of the servers, and what their subject says."""

    csr_mode = forms.ChoiceField(
        label="How do you want to generate the CSR for each server?",
        choices=CsrMode.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose how the CSR of each server is generated."},
    )
    organization = forms.CharField(label="Organization", required=False)
    organization_unit = forms.CharField(label="Organization Unit", required=False)
    locality = forms.CharField(label="City/Locality", required=False)
    state = forms.CharField(label="State/Province", required=False)
    country = forms.CharField(
        label="Country/region", required=False, help_text="Two letters, such as NO."
    )
    key_type = forms.ChoiceField(label="Key Length", choices=list(keys.KEY_TYPES.items()))
    include_additional_dns_names = forms.BooleanField(label=_DNS_NAMES, required=False)

    PARTS = {
        "organization": "O",
        "organization_unit": "OU",
        "locality": "L",
        "state": "ST",
        "country": "C",
    }

    def __init__(self, *args: Any, servers: list[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["include_additional_dns_names"].help_text = who_has_names(servers)

    def clean(self) -> dict[str, Any]:
        """The subject counts only if the requests are made here."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("csr_mode") != CsrMode.AUTOMATIC:
            return cleaned
        for name, short in self.PARTS.items():
            try:
                part = names.check_subject_part(cleaned[name], most=_most(short))
            except ValueError as error:
                self.add_error(name, str(error))
                continue
            cleaned[name] = part.upper() if short == "C" else part
        country = cleaned.get("country", "")
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            self.add_error("country", "A country is written with two letters, such as NO.")
        return cleaned

    def subject(self) -> dict[str, str]:
        """Return what the requests' subject says besides the server's name."""
        if self.cleaned_data["csr_mode"] != CsrMode.AUTOMATIC:
            return {}
        found = {short: self.cleaned_data[name] for name, short in self.PARTS.items()}
        return {short: value for short, value in found.items() if value}


def _most(short: str) -> int:
    """A country's own sentence is better than that it is too long."""
    return SUBJECT_LENGTHS[short] if short != "C" else 64


class ChangeActivationForm(ActivationForm):
    """Step `Activation`: when, what of late devices and of servers without a certificate."""

    without_certificate = forms.ChoiceField(
        label="If a server has no certificate by then",
        choices=[
            (WithoutCertificate.HOLD, "Hold the activation: nothing changes until it has one"),
            (WithoutCertificate.GO_ON, "Go on without it: it keeps its old certificate meanwhile"),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what happens to a server without a certificate."},
    )
    although_trusted = forms.BooleanField(
        label="Yes, change the CA although a previous CA is still trusted",
        error_messages={
            "required": "Tick the box if you want another CA beside those that are still trusted."
        },
    )
    field_order = (
        "although_trusted",
        "activation_date",
        "activation_time",
        "policy",
        "without_certificate",
    )

    def __init__(
        self,
        *args: Any,
        ca: CertificateAuthority,
        years: int,
        root: TrustedRoot | None,
        policy_help: str,
        older: StillTrusted,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, ca=ca, **kwargs)
        self.years = years
        self.root_expires = root.root.not_valid_after_utc if root else None
        if not self.is_immediate:
            self.fields["policy"].help_text = policy_help
        if root is None:
            del self.fields["without_certificate"]
        if not older:
            del self.fields["although_trusted"]

    def clean(self) -> dict[str, Any]:
        """Check the instant against both CAs."""
        cleaned = super().clean()
        if "activate_at" in cleaned:
            why_not = authorities.why_not_at(
                self.ca,
                cleaned["activate_at"],
                years=self.years,
                now=self.now,
                root_expires=self.root_expires,
            )
            if why_not:
                self.add_error("activation_date", why_not)
        return cleaned
