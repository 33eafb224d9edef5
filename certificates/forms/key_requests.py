"""Forms about the keys of the zone: Backup CA, Verify backup, Restore CA, Move CA Role."""

import hashlib
import unicodedata
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from certificates.actions.key_requests import Upload
from certificates.forms.passwords import PasswordForm
from devices.models import Device
from pki.backup import MAX_BYTES, MIN_PASSPHRASE

_TOO_SHORT = f"A passphrase has at least {MIN_PASSPHRASE} characters."


class PassphraseField(forms.CharField):
    """A passphrase, in the same form (NFC) whatever keyboard it was typed on; never shown again."""

    def __init__(self, *, autocomplete: str, **kwargs: Any) -> None:
        super().__init__(
            strip=False,
            max_length=1000,
            widget=forms.PasswordInput(attrs={"autocomplete": autocomplete}),
            **kwargs,
        )

    def to_python(self, value: Any) -> str:
        return unicodedata.normalize("NFC", super().to_python(value) or "")


class BackupCAForm(PasswordForm):
    """The passphrase of a new backup, typed twice."""

    passphrase = PassphraseField(
        label="Passphrase",
        autocomplete="new-password",
        min_length=MIN_PASSPHRASE,
        help_text=(
            f"At least {MIN_PASSPHRASE} characters. It is not stored: "
            "without it the backup cannot be restored."
        ),
        error_messages={"required": "Enter a passphrase.", "min_length": _TOO_SHORT},
    )
    confirm = PassphraseField(
        label="Confirm",
        autocomplete="new-password",
        error_messages={"required": "Type the passphrase again."},
    )
    field_order = ("passphrase", "confirm", "password")
    why_password = "Asked again because the file holds the CA key."

    def clean(self) -> dict[str, Any]:
        """Compare the two passphrases."""
        cleaned: dict[str, Any] = super().clean() or {}
        passphrase, confirm = cleaned.get("passphrase"), cleaned.get("confirm")
        if passphrase and confirm and passphrase != confirm:
            self.add_error("confirm", "The two passphrases differ. Type both again.")
        return cleaned


class UploadForm(forms.Form):
    """A backup file, and the passphrase that opens it."""

    backup_file = forms.FileField(
        label="Backup file",
        allow_empty_file=True,
        widget=forms.ClearableFileInput(attrs={"accept": ".zip"}),
        help_text="The ZIP that Backup CA made.",
        error_messages={"required": "Choose the ZIP that Backup CA made."},
    )
    passphrase = PassphraseField(
        label="Passphrase",
        autocomplete="off",
        help_text="The one that was used for the backup.",
        error_messages={"required": "Enter the passphrase of the backup."},
    )

    def clean_backup_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["backup_file"]
        if (file.size or 0) > MAX_BYTES:
            raise forms.ValidationError(
                f"This file is larger than {MAX_BYTES // 1024 // 1024} MiB, so it is no backup of "
                "a CA. Choose the ZIP that Backup CA made."
            )
        return file

    def upload(self) -> Upload:
        """Return what the valid form holds."""
        file: UploadedFile = self.cleaned_data["backup_file"]
        data = file.read()
        return Upload(
            name=file.name or "",
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            passphrase=self.cleaned_data["passphrase"],
        )


class VerifyBackupForm(UploadForm):
    """Which file is to be looked into."""


class _ServerField(forms.ModelChoiceField):
    """One of the Primary Servers, shown by its DNS name and what is to be known of it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Device.objects.none(), empty_label=None, **kwargs)
        self.notes: dict[int, str] = {}

    def label_from_instance(self, server: Any) -> str:
        note = self.notes.get(server.pk, "")
        return f"{server.dns_name or server.name}{note}"


class RestoreCAForm(UploadForm, PasswordForm):
    """Which backup goes to which server."""

    server = _ServerField(
        label="Primary Server",
        help_text="It gets the CA role. Every other server gives it up.",
        error_messages={
            "required": "Choose the Primary Server that gets the CA role.",
            "invalid_choice": "Choose one of the Primary Servers in the list.",
        },
    )
    field_order = ("backup_file", "server", "passphrase", "password")
    why_password = "Asked again because another server may get the CA role."

    def __init__(self, *args: Any, servers: list[Device], holder: Device, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["server"]
        field.queryset = Device.objects.filter(pk__in=[server.pk for server in servers])
        field.notes = {holder.pk: " (has the CA role)"}


class MoveCARoleForm(PasswordForm):
    """Which server gets the CA role."""

    server = _ServerField(
        label="Primary Server that gets the CA role",
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose the Primary Server that gets the CA role.",
            "invalid_choice": "Choose one of the Primary Servers in the list.",
        },
    )
    field_order = ("server", "password")
    why_password = "Asked again because the CA key moves."

    def __init__(self, *args: Any, servers: list[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["server"]
        field.queryset = Device.objects.filter(pk__in=[server.pk for server in servers])
