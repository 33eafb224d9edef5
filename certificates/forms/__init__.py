"""Forms of Configuration > Certificates: they turn text into values and check what can be seen."""

from certificates.forms.activation_time import ActivationTimeForm
from certificates.forms.decisions import PostponeForm, RetireOldCAForm, RollBackForm, SignOffForm
from certificates.forms.passwords import PasswordForm, PlainForm, ReasonForm
from certificates.forms.remint_ca import RemintCAForm
from certificates.forms.server_certificates import (
    GenerateCSRForm,
    ImportCertificateForm,
    RemintServerCertificateForm,
)

__all__ = [
    "ActivationTimeForm",
    "GenerateCSRForm",
    "ImportCertificateForm",
    "PasswordForm",
    "PlainForm",
    "PostponeForm",
    "ReasonForm",
    "RemintCAForm",
    "RemintServerCertificateForm",
    "RetireOldCAForm",
    "RollBackForm",
    "SignOffForm",
]
