"""Forms of Configuration > Certificates: they turn text into values and check what can be seen."""

from certificates.forms.activation_time import ActivationTimeForm
from certificates.forms.change_ca import (
    ChangeActivationForm,
    ChangeAuthorityForm,
    GenerateCSRForm,
)
from certificates.forms.decisions import PostponeForm, RetireOldCAForm, RollBackForm, SignOffForm
from certificates.forms.key_requests import (
    BackupCAForm,
    MoveCARoleForm,
    RestoreCAForm,
    VerifyBackupForm,
)
from certificates.forms.passwords import PasswordForm, PlainForm, ReasonForm
from certificates.forms.remint_ca import RemintCAForm
from certificates.forms.retirements import RetireByItselfForm, RetireRolledBackCAForm

__all__ = [
    "ActivationTimeForm",
    "BackupCAForm",
    "ChangeActivationForm",
    "ChangeAuthorityForm",
    "GenerateCSRForm",
    "MoveCARoleForm",
    "PasswordForm",
    "PlainForm",
    "PostponeForm",
    "ReasonForm",
    "RemintCAForm",
    "RestoreCAForm",
    "RetireByItselfForm",
    "RetireOldCAForm",
    "RetireRolledBackCAForm",
    "RollBackForm",
    "SignOffForm",
    "VerifyBackupForm",
]
