"""Forms of Configuration > Certificates: they turn text into values and check what can be seen."""

from certificates.forms.activation_time import ActivationTimeForm
from certificates.forms.change_ca import (
    ChangeActivationForm,
    ChangeAuthorityForm,
    ChangeCSRForm,
)
from certificates.forms.decisions import PostponeForm, RetireOldCAForm, RollBackForm, SignOffForm
from certificates.forms.key_requests import (
    BackupCAForm,
    MoveCARoleForm,
    RestoreCAForm,
    VerifyBackupForm,
)
from certificates.forms.mobiles import EnrolMobilesAgainForm
from certificates.forms.passwords import PasswordForm, PlainForm, ReasonForm
from certificates.forms.rehearsals import RehearseForm
from certificates.forms.remint_ca import RemintCAForm
from certificates.forms.retirements import RetireByItselfForm, RetireRolledBackCAForm
from certificates.forms.server_certificates import (
    GenerateCSRForm,
    ImportCertificateForm,
    RemintServerCertificateForm,
)

__all__ = [
    "ActivationTimeForm",
    "BackupCAForm",
    "ChangeActivationForm",
    "ChangeAuthorityForm",
    "ChangeCSRForm",
    "EnrolMobilesAgainForm",
    "GenerateCSRForm",
    "ImportCertificateForm",
    "MoveCARoleForm",
    "PasswordForm",
    "PlainForm",
    "PostponeForm",
    "ReasonForm",
    "RehearseForm",
    "RemintCAForm",
    "RemintServerCertificateForm",
    "RestoreCAForm",
    "RetireByItselfForm",
    "RetireOldCAForm",
    "RetireRolledBackCAForm",
    "RollBackForm",
    "SignOffForm",
    "VerifyBackupForm",
]
