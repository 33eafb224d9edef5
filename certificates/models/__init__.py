from certificates.models.authority import CertificateAuthority, IssuedCertificate, LinkCertificate
from certificates.models.evidence import EvidencePack
from certificates.models.joining import JoinRequest, JoinToken
from certificates.models.key_end import KeyEnd
from certificates.models.operation import Operation, OperationEvent
from certificates.models.server_certificate import ServerCertificate
from certificates.models.server_step import ServerProgress
from certificates.models.sign_off import SignOff
from certificates.models.trust import HomeTrust, PublishedTrust

__all__ = [
    "CertificateAuthority",
    "EvidencePack",
    "HomeTrust",
    "IssuedCertificate",
    "JoinRequest",
    "JoinToken",
    "KeyEnd",
    "LinkCertificate",
    "Operation",
    "OperationEvent",
    "PublishedTrust",
    "ServerCertificate",
    "ServerProgress",
    "SignOff",
]
