from certificates.models.authority import (
    CertificateAuthority,
    IssuedCertificate,
    LinkCertificate,
    LinkRequest,
)
from certificates.models.change_ca_draft import ChangeCADraft
from certificates.models.custody import KeyRemoval, SealingKey, VerifiedBackup
from certificates.models.evidence import EvidencePack
from certificates.models.forecast import Forecast, Straggler
from certificates.models.identity import MobileIdentity
from certificates.models.identity_ca import IdentityCA
from certificates.models.joining import JoinRequest, JoinToken
from certificates.models.key_end import KeyEnd
from certificates.models.key_request import KeyRequest
from certificates.models.operation import Operation, OperationEvent
from certificates.models.rehearsal import Rehearsal, RehearsalDevice, RehearsalEvent
from certificates.models.sealed_transfer import SealedTransfer
from certificates.models.server_certificate import ServerCertificate
from certificates.models.server_step import ServerProgress, UpdaterRun
from certificates.models.sign_off import SignOff
from certificates.models.trust import HomeTrust, PublishedTrust
from certificates.models.updater_tool import UpdaterTool

__all__ = [
    "CertificateAuthority",
    "ChangeCADraft",
    "EvidencePack",
    "Forecast",
    "HomeTrust",
    "IdentityCA",
    "IssuedCertificate",
    "JoinRequest",
    "JoinToken",
    "KeyEnd",
    "KeyRemoval",
    "KeyRequest",
    "LinkCertificate",
    "LinkRequest",
    "MobileIdentity",
    "Operation",
    "OperationEvent",
    "PublishedTrust",
    "Rehearsal",
    "RehearsalDevice",
    "RehearsalEvent",
    "SealedTransfer",
    "SealingKey",
    "ServerCertificate",
    "ServerProgress",
    "SignOff",
    "Straggler",
    "UpdaterRun",
    "UpdaterTool",
    "VerifiedBackup",
]
