"""What is asked for servers' certificates: requests, imports, fresh ones."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from certificates.forms.passwords import PasswordForm
from certificates.models.server_step import CsrWishes
from certificates.uploads import MAX_TOTAL
from pki import csr, keys


class GenerateCSRForm(forms.Form):
    """The subject of the requests that servers make for an external CA."""

    O = forms.CharField(label="Organization", required=False)  # noqa: E741, the name in X.509
    OU = forms.CharField(label="Organization Unit", required=False)
    L = forms.CharField(label="City/Locality", required=False)
    ST = forms.CharField(label="State/Province", required=False)
    C = forms.CharField(
        label="Country/region", required=False, help_text="Two letters, such as NO."
    )
    key_type = forms.ChoiceField(label="Key Length", choices=list(keys.KEY_TYPES.items()))
    include_additional_dns_names = forms.BooleanField(
        label="Include any additional DNS names for each server", required=False
    )

    def clean(self) -> dict[str, Any]:
        """Check each field as it will stand in the subject."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for field in csr.FIELDS:
            try:
                cleaned[field] = csr.check_field(field, cleaned.get(field, ""))
            except ValueError as error:
                self.add_error(field, str(error))
        return cleaned

    def wishes(self) -> CsrWishes:
        """Return what the valid form asks for."""
        asked = self.cleaned_data
        return CsrWishes(
            fields={field: asked[field] for field in csr.FIELDS if asked[field]},
            key_type=asked["key_type"],
            include_additional_dns_names=asked["include_additional_dns_names"],
        )


class _Files(forms.ClearableFileInput):
    allow_multiple_selected = True


class _FilesField(forms.FileField):
    """Any number of files."""

    widget = _Files(attrs={"accept": ".der,.cer,.crt,.p7b,.pem,.cert,.zip"})

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        """Return the files, each within its bounds."""
        given = data if isinstance(data, Sequence) else [data]
        clean = super().clean
        files: list[UploadedFile] = [clean(file, initial) for file in given or [None]]
        if sum(file.size or 0 for file in files) > MAX_TOTAL:
            most = MAX_TOTAL // 2**20
            raise forms.ValidationError(f"This is more than {most} MiB. Upload it in parts.")
        return files


class ImportCertificateForm(forms.Form):
    """Whatever the external CA has sent back."""

    certificates = _FilesField(
        label="Certificates, chains or ZIPs",
        help_text="Names do not matter: each certificate is matched to its server by its key.",
        error_messages={"required": "Choose at least one file.", "empty": "The file is empty."},
    )

    def uploaded(self) -> list[tuple[str, bytes]]:
        """Return name and content of each file."""
        return [(file.name or "", file.read()) for file in self.cleaned_data["certificates"]]


class RemintServerCertificateForm(PasswordForm):
    """The password again: servers change what they show."""

    why_password = "Asked again because servers change the certificate they show."
