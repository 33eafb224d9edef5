"""
Setting a zone up: its first Primary Server with the CA role, or with an external CA's certificate.

Everything is checked before anything is written. The server's home is made first and the rows last,
in one transaction: a set-up that breaks off leaves no zone, and can simply be started again.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib.auth import get_user_model
from django.db import transaction

import agent
from agent.home import Home
from certificates import issuing, keys, sealing_keys, setup_page, trust
from certificates.joining import NewServer
from certificates.models import CertificateAuthority, ServerCertificate
from certificates.models.authority import Kind as CAKind
from certificates.models.authority import State as CAState
from certificates.models.certificate import Certificate
from certificates.models.server_certificate import State as CertificateState
from devices.models import Device, Kind, Zone
from pki import chains, csr, names
from pki import keys as pki_keys
from pki.describe import with_colons
from zcc.ground import here, outgoing
from zcc.ground.ports import console_url


class CannotSetUp(Exception):
    """The set-up cannot be done like this; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class InternalCA:
    """An internal CA is to be made: its name, kind of key and years."""

    common_name: str
    key_type: str = pki_keys.DEFAULT
    years: int = 10


@dataclass(frozen=True, kw_only=True)
class ExternalCA:
    """An external CA has signed this server's certificate: chain (leaf first), root, key."""

    chain: list[x509.Certificate]
    root: x509.Certificate
    key: pki_keys.PrivateKey


class SoleWorker:
    """During set-up nobody else works on the zone."""

    def check(self) -> None:
        """There is no claim that could be lost."""


def read_external(
    chain_file: bytes, key_file: bytes, *, server: NewServer, now: datetime
) -> ExternalCA:
    """
    Read and check an external CA's chain and this server's key.

    Raises CannotSetUp with a sentence that names what does not fit.
    """
    try:
        chain = chains.order(chains.load(chain_file))
        root = chains.root_of(chain)
        key = pki_keys.load(key_file)
        wanted = [server.dns_name, *server.addresses]
        chains.check_server_chain(chain, key, wanted=wanted, at=now, roots=[root])
    except ValueError as error:
        raise CannotSetUp(str(error)) from error
    return ExternalCA(chain=[found for found in chain if found != root], root=root, key=key)


def set_up_zone(
    name: str,
    server: NewServer,
    ca: InternalCA | ExternalCA,
    *,
    home: Home,
    now: datetime,
    settings: dict[str, object] | None = None,
) -> Zone:
    """Create the zone with its first Primary Server. Raises CannotSetUp."""
    if Zone.objects.exists():
        raise CannotSetUp("This database has a zone already. Nothing has changed.")
    server.check()
    home.make()
    keys.make_key_encryption_key(home)
    with transaction.atomic():
        zone = Zone.objects.create(name=name, created_at=now, **(settings or {}))
        device = first_server(zone, server, now=now)
        if isinstance(ca, InternalCA):
            authority = _install_internal(device, ca, home=home, now=now)
        else:
            authority = take_over(device, ca, generation=1, home=home, now=now)
        update_key = keys.make_update_key(home, zone)
        public = sealing_keys.own(home).public_key().public_bytes_raw()
        sealing_keys.vouch(device, public, update_key=update_key)
        trust.publish(zone, home=home, now=now)
    settle(home, server, device, anchors=[authority])
    return zone


def settle(
    home: Home, server: NewServer, device: Device, *, anchors: list[CertificateAuthority]
) -> None:
    """Leave in the home of the first server what it must know without the database."""
    home.set_anchors([trust.anchor_pem(anchor).encode() for anchor in anchors])
    outgoing.write_bundle(home)
    update_key = keys.load_update_key(home, device.zone)
    home.write_file(here.UPDATE_KEY, update_key.public_key().public_bytes_raw())
    here.write_identity(
        here.Identity(
            name=server.name,
            guid=str(device.guid),
            dns_name=server.dns_name,
            address=server.addresses[0],
        )
    )
    setup_page.write(device, home=home)


def first_server(zone: Zone, server: NewServer, *, now: datetime) -> Device:
    return Device.objects.create(
        zone=zone,
        name=server.name,
        kind=Kind.PRIMARY_SERVER,
        dns_name=server.dns_name,
        addresses=server.addresses,
        version=agent.VERSION,
        enrolled_at=now,
        last_contact_at=now,
    )


def _install_internal(
    device: Device, ca: InternalCA, *, home: Home, now: datetime
) -> CertificateAuthority:
    """Make the first CA on this server, and this server's certificate."""
    try:
        common_name = names.check_common_name(ca.common_name)
    except ValueError as error:
        raise CannotSetUp(str(error)) from error
    guid = uuid4()
    key = keys.make_ca_key(home, device.zone, guid, partial(pki_keys.generate, ca.key_type))
    authority = CertificateAuthority.objects.create(
        zone=device.zone,
        guid=guid,
        kind=CAKind.INTERNAL,
        generation=1,
        server=device,
        created_at=now,
    )
    subject = names.ca_subject(common_name, serial_number="G1")
    issuing.sign_root(authority, key, subject=subject, years=ca.years, hold=SoleWorker(), now=now)
    authority.activate(at=now)
    certify(device, authority, key, key_type=ca.key_type, home=home, now=now)
    return authority


def certify(
    device: Device,
    authority: CertificateAuthority,
    key: pki_keys.PrivateKey,
    *,
    key_type: str,
    home: Home,
    now: datetime,
) -> None:
    """Make the first server's key and certificate, and put them to use."""
    server_key = pki_keys.generate(key_type)
    request = csr.build(
        server_key,
        subject_dns=device.dns_name,
        dns_names=[device.dns_name],
        ip_addresses=list(device.addresses),
    )
    leaf = issuing.sign_server(
        authority,
        key,
        request_der=request,
        device=device,
        include_additional=False,
        hold=SoleWorker(),
        now=now,
    )
    _install(device, authority, [leaf], server_key, home=home, request=request, now=now)


def take_over(
    device: Device, ca: ExternalCA, *, generation: int, home: Home, now: datetime
) -> CertificateAuthority:
    """Take over an external CA and the certificate it signed for this server."""
    authority = CertificateAuthority.objects.create(
        zone=device.zone,
        kind=CAKind.EXTERNAL,
        state=CAState.ACTIVE,
        generation=generation,
        server=device,
        created_at=now,
        activated_at=now,
        **Certificate.columns(ca.root),
    )
    _install(device, authority, ca.chain, ca.key, home=home, request=None, now=now)
    return authority


def _install(
    device: Device,
    authority: CertificateAuthority,
    chain: list[x509.Certificate],
    key: pki_keys.PrivateKey,
    *,
    home: Home,
    request: bytes | None,
    now: datetime,
) -> None:
    """Record the server's first certificate and put it to use."""
    leaf, *intermediates = chain
    ServerCertificate.objects.create(
        device=device,
        authority=authority,
        state=CertificateState.CURRENT,
        csr=request,
        intermediates="".join(pem(found) for found in intermediates),
        created_at=now,
        activated_at=now,
        **Certificate.columns(leaf),
    )
    home.install(
        key_der=pki_keys.to_der(key),
        chain_pem="".join(pem(found) for found in chain).encode(),
        ca_pem=trust.anchor_pem(authority).encode(),
    )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def make_administrator(username: str, password: str) -> None:
    """Create the first administrator, who may do everything."""
    get_user_model().objects.create_superuser(username=username, password=password)


def write_welcome(zone: Zone, server: NewServer, *, admin: str, password: str | None) -> None:
    """Leave what the supervisor prints at its first start: where to go, what to compare."""
    active = CertificateAuthority.objects.get(zone=zone, state=CAState.ACTIVE)
    welcome = {
        "url": console_url(server.addresses[0]),
        "fingerprint": with_colons(active.sha256),
        "admin": admin,
        "password": password,
    }
    path = here.zcc_home() / "welcome.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({key: value for key, value in welcome.items() if value}))
