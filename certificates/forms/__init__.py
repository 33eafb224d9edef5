"""Forms of Configuration > Certificates: they turn text into values and check what can be seen."""

from certificates.forms.activation_time import ActivationTimeForm
from certificates.forms.decisions import PostponeForm, RetireOldCAForm, RollBackForm, SignOffForm
from certificates.forms.key_requests import (
    BackupCAForm,
    MoveCARoleForm,
    RestoreCAForm,
    VerifyBackupForm,
)
from certificates.forms.passwords import PasswordForm, PlainForm, ReasonForm
from certificates.forms.remint_ca import RemintCAForm

__all__ = [
    "ActivationTimeForm",
    "BackupCAForm",
    "MoveCARoleForm",
    "PasswordForm",
    "PlainForm",
    "PostponeForm",
    "ReasonForm",
    "RemintCAForm",
    "RestoreCAForm",
    "RetireOldCAForm",
    "RollBackForm",
    "SignOffForm",
    "VerifyBackupForm",
]
