"""Forms about the keys of the zone: Backup CA, Verify backup, Restore CA, Move CA Role."""

import hashlib
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.files.uploadedfile import UploadedFile

from certificates.actions.key_requests import Upload
from certificates.forms.passwords import PasswordForm
from devices.models import Device
from pki.backup import MAX_BYTES, MIN_PASSPHRASE, REFUSAL

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
    why_password = "Asked again because the file holds keys of the zone."

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

    def refuse(self, problem: str, *, file_name: str) -> None:
        """Say what was wrong with the last upload; its file was not kept, nor its passphrase."""
        is_unopened = problem == REFUSAL
        name = "passphrase" if is_unopened else NON_FIELD_ERRORS
        self.errors[name] = self.error_class([problem], renderer=self.renderer)
        self.fields["backup_file"].help_text = f"Choose {file_name} again, or another file."
        first = "passphrase" if is_unopened else "backup_file"
        self.fields[first].widget.attrs["data-focus"] = True

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
    why_password = "Asked again because another server may get keys of the zone."

    def __init__(
        self,
        *args: Any,
        servers: list[Device],
        holder: Device,
        is_external: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["server"]
        field.queryset = Device.objects.filter(pk__in=[server.pk for server in servers])
        field.notes = {holder.pk: f" (has {'the update key' if is_external else 'the CA role'})"}
        if is_external:
            field.help_text = "It signs what devices are told to trust. No other server does then."


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
    why_password = "Asked again because keys of the zone move."

    def __init__(
        self, *args: Any, servers: list[Device], is_external: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["server"]
        field.queryset = Device.objects.filter(pk__in=[server.pk for server in servers])
        if is_external:
            field.label = "Primary Server that gets the update key"
