from certificates.models.authority import CertificateAuthority, IssuedCertificate, LinkCertificate
from certificates.models.custody import KeyRemoval, SealingKey, VerifiedBackup
from certificates.models.joining import JoinRequest, JoinToken
from certificates.models.key_request import KeyRequest
from certificates.models.operation import Operation, OperationEvent
from certificates.models.server_certificate import ServerCertificate
from certificates.models.server_step import ServerProgress
from certificates.models.sign_off import SignOff
from certificates.models.trust import HomeTrust, PublishedTrust

__all__ = [
    "CertificateAuthority",
    "HomeTrust",
    "IssuedCertificate",
    "JoinRequest",
    "JoinToken",
    "KeyRemoval",
    "KeyRequest",
    "LinkCertificate",
    "Operation",
    "OperationEvent",
    "PublishedTrust",
    "SealingKey",
    "ServerCertificate",
    "ServerProgress",
    "SignOff",
    "VerifiedBackup",
]
