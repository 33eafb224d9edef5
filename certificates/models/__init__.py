from certificates.models.authority import CertificateAuthority, IssuedCertificate, LinkCertificate
from certificates.models.forecast import Forecast, Straggler
from certificates.models.joining import JoinRequest, JoinToken
from certificates.models.operation import Operation, OperationEvent
from certificates.models.server_certificate import ServerCertificate
from certificates.models.server_step import ServerProgress
from certificates.models.sign_off import SignOff
from certificates.models.trust import HomeTrust, PublishedTrust

__all__ = [
    "CertificateAuthority",
    "Forecast",
    "HomeTrust",
    "IssuedCertificate",
    "JoinRequest",
    "JoinToken",
    "LinkCertificate",
    "Operation",
    "OperationEvent",
    "PublishedTrust",
    "ServerCertificate",
    "ServerProgress",
    "SignOff",
    "Straggler",
]
