"""A zone that issues identities, and mobiles that ask for them by EST."""

import base64
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from certificates import identity_cas
from certificates.actions import identities
from certificates.identities import signer as signer_of
from certificates.installing import SoleWorker
from certificates.models import MobileIdentity
from devices import mobiles
from devices.models import Device, Zone
from pki import keys
from zcc import est
from zcc.ground import claims, clock, here

TRIES = 20


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def make_request(key=None, *, name="", alternatives=()):
    """Return a request in DER; a fresh EC key unless one is given."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    if alternatives:
        names = x509.SubjectAlternativeName(alternatives)
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key or keys.generate("ec-p256"), SHA256()).public_bytes(Encoding.DER)


def read(response):
    """Return the certificates in an answer of EST."""
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(response.body))


def make_identity_cas(zone):
    """Do what the worker of the signing server does in a zone with an external CA."""
    for ca in identity_cas.to_be_made(zone, now=clock.now()):
        row = identity_cas.claim(ca.pk, server=ca.server, now=clock.now())
        identity_cas.carry_out(row, home=here.home(ca.server.name))


def issue_all():
    """Do what the worker of the server that signs does."""
    now, signer = clock.now(), signer_of(Zone.objects.get())
    if signer is None:
        return
    for pk in MobileIdentity.objects.to_be_issued(now).values_list("pk", flat=True):
        row = claims.claim(MobileIdentity.objects.filter(pk=pk), now=now)
        if row is not None:  # None: a listener's own worker has it
            home = here.home(signer.server.name)
            identities.issue(row, server=signer.server, home=home, hold=SoleWorker(), now=now)


class Mobile:
    """What holds a key, a link and perhaps an identity."""

    def __init__(self, zone, name="phone1", *, secret=None):
        self.zone, self.name = zone, name
        self.secret = secret or mobiles.make_link(
            zone, name, folder="/Mobile Devices", lifetime=timedelta(days=7), by=None,
            now=clock.now(),
        )  # fmt: skip
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.identity = None

    def enrol(self, request=None, **changes):
        """Send a request by the link; let it be signed unless it is refused; send it again."""
        request = request or make_request(self.key)
        return self.ask("simpleenroll", request, secret=self.secret, **changes)

    def enrol_again(self, request=None):
        key = ec.generate_private_key(ec.SECP256R1())
        return self.ask("simplereenroll", request or make_request(key))

    def ask(self, what, request, **changes):
        response = self.post(what, request, **changes)
        for _ in range(TRIES):
            if response.status != 202:
                break
            issue_all()
            response = self.post(what, request, **changes)
        if response.status == 200:
            self.identity = read(response)[0]
        return response

    def post(self, what, request, *, secret=None, content_type="application/pkcs10", body=None):
        headers = {"content-type": content_type}
        if secret:
            login = base64.b64encode(f"{self.name}:{secret}".encode()).decode()
            headers["authorization"] = f"Basic {login}"
        body = base64.encodebytes(request) if body is None else body
        return est.answer(est.Call("POST", est.PREFIX + what, headers, body, self.der))

    @property
    def der(self):
        return self.identity.public_bytes(Encoding.DER) if self.identity else None

    @property
    def device(self):
        return Device.objects.get(zone=self.zone, name=self.name)

    @property
    def row(self):
        return MobileIdentity.objects.get(sha256=self.identity.fingerprint(SHA256()).hex())
