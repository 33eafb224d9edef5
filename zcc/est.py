"""
EST (RFC 7030) on port 7444: how a mobile device gets its identity, and the next one.

    GET  /.well-known/est/cacerts          whom to trust
    POST /.well-known/est/simpleenroll     by an enrolment link: HTTP Basic password, or Bearer
    POST /.well-known/est/simplereenroll   by the identity that the mobile has, in the handshake

The answer to a request is 202 until the server with the key has signed; a client then sends the
same again.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from certificates import identities, taking_part
from certificates.actions import identities as requests
from certificates.models import MobileIdentity
from certificates.models.identity import State
from devices import mobiles
from devices.actions import NotEnrolled
from devices.models import Zone
from pki import est
from zcc.ground import clock

PREFIX = "/.well-known/est/"
NOT_FOR_A_BROWSER = (
    "This address is for the EST client of a mobile (RFC 7030), not for a browser. "
    "EST here has cacerts, simpleenroll and simplereenroll."
)
RETRY_AFTER = 2  # seconds; the server with the CA looks for work every second
_PKCS7 = "application/pkcs7-mime"
_PKCS10 = "application/pkcs10"


@dataclass(frozen=True)
class Call:
    """What a client sent: headers in lower case, body, and its certificate in DER, if any."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    certificate: bytes | None = None


@dataclass(frozen=True)
class Response:
    """What it is answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        return self.status == 202


def answer(call: Call) -> Response:
    """Answer a call below PREFIX."""
    route = ROUTES.get(call.path.removeprefix(PREFIX))
    if route is None:
        return _refusal(404, NOT_FOR_A_BROWSER)
    method, handler = route
    if call.method != method:
        return _refusal(405, f"Send {method}.", {"Allow": method})
    zone = Zone.objects.first()
    if zone is None:
        return _refusal(503, "This server is not set up yet.")
    try:
        return handler(call, zone)
    except tuple(REFUSALS) as error:
        status, headers = REFUSALS[type(error)]
        return _refusal(status, str(error), headers)


REFUSALS: dict[type[Exception], tuple[int, dict[str, str]]] = {
    NotEnrolled: (401, {"WWW-Authenticate": 'Basic realm="enrolment link"'}),
    identities.NotAccepted: (403, {}),
    requests.Refused: (400, {}),
    requests.TooMany: (429, {"Retry-After": str(requests.A_WHILE.seconds)}),
}


def _ca_certificates(call: Call, zone: Zone) -> Response:
    return _certificates(est.certs_only(identities.ca_certificates(zone)), _PKCS7)


def _enrol(call: Call, zone: Zone) -> Response:
    secret, now = _secret(call), clock.now()
    mobiles.find_link(secret, now=now)  # who has none is not listened to
    if refusal := _why_not_pkcs10(call):
        return refusal
    request = _request(call)
    identity = requests.enrol(secret, request, now=now)
    taking_part.enrolled(identity.device, now=now)
    return _outcome(identity)


def _enrol_again(call: Call, zone: Zone) -> Response:
    now = clock.now()
    if call.certificate is None:
        return _refusal(401, "Show the identity that is to be renewed in the TLS handshake.")
    identity = identities.of_call(call.certificate, now=now)
    if refusal := _why_not_pkcs10(call):
        return refusal
    return _outcome(requests.enrol_again(identity, _request(call), now=now))


ROUTES: dict[str, tuple[str, Callable[[Call, Zone], Response]]] = {
    "cacerts": ("GET", _ca_certificates),
    "simpleenroll": ("POST", _enrol),
    "simplereenroll": ("POST", _enrol_again),
}


def _outcome(identity: MobileIdentity) -> Response:
    """What has become of a request: the certificate, a reason, or that it takes a while."""
    if identity.state == State.REQUESTED:
        headers = {"Retry-After": str(RETRY_AFTER), "Content-Type": "text/plain"}
        return Response(202, b"The identity is being issued. Send the same request again.", headers)
    if identity.state == State.REFUSED:
        return _refusal(400, identity.reason)
    return _certificates(est.certs_only([identity.x509()]), f"{_PKCS7}; smime-type=certs-only")


def _certificates(body: bytes, content_type: str) -> Response:
    headers = {"Content-Type": content_type, "Content-Transfer-Encoding": "base64"}
    return Response(200, body, headers)


def _refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    more = {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
    return Response(status, f"{sentence}\n".encode(), more)


def _why_not_pkcs10(call: Call) -> Response | None:
    given = call.headers.get("content-type", "").split(";")[0].strip().lower()
    return None if given == _PKCS10 else _refusal(415, f"Send the request as {_PKCS10}.")


def _request(call: Call) -> bytes:
    """Return the request in the body, checked. Raises requests.Refused."""
    try:
        der = est.read_request(call.body)
    except ValueError as error:
        raise requests.Refused(str(error)) from error
    requests.check(der)
    return der


def _secret(call: Call) -> str:
    """Return the secret of the enrolment link, however it is sent. Raises NotEnrolled."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    elif scheme.lower() != "bearer":
        value = ""
    if not value.strip():
        raise NotEnrolled("Send the secret of the enrolment link as password (HTTP Basic).")
    return value.strip()
