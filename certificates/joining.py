"""
How another Primary Server joins the zone: one-time token, own key at home, sealed answer.

The token authenticates the request (HMAC over all of it), the request's X25519 key is what the
answer is sealed to. The answer carries what all Primary Servers share: nothing else travels.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from django.conf import settings
from django.db import transaction

import agent
from agent.home import Home
from certificates import issuing, keys, sealing_keys, server_steps, trust
from certificates.issuing import HasHold
from certificates.models import (
    CertificateAuthority,
    JoinRequest,
    JoinToken,
    Operation,
    ServerCertificate,
    ServerProgress,
)
from certificates.models import server_certificate as certificates
from certificates.models.authority import State as CAState
from certificates.models.certificate import Certificate
from devices import actions as devices
from devices.models import Device, Kind, Zone
from pki import csr, names, sealing
from pki import keys as pki_keys
from systemupdates import actions as updates
from zcc.ground import claims, here, outgoing, secrets

TOKEN_LIFETIME = timedelta(hours=1)


class CannotJoin(Exception):
    """The server cannot join; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class NewServer:
    """What is said of a server that is to join: its name and where it is reached."""

    name: str
    dns_name: str
    addresses: list[str]

    def check(self) -> None:
        """Raise CannotJoin with a sentence if a name or address is not acceptable."""
        try:
            names.check_dns_name(self.dns_name)
            for address in self.addresses:
                names.check_ip(address)
        except ValueError as error:
            raise CannotJoin(str(error)) from error
        if not self.addresses:
            raise CannotJoin("A Primary Server needs at least one IP address.")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise CannotJoin("A server name is a plain name, such as ps2.")


def create_token(zone: Zone, *, home: Home, now: datetime) -> str:
    """Return a token with which one server can join within the hour. Runs on the CA server."""
    row = JoinToken.objects.create(zone=zone, created_at=now, expires_at=now + TOKEN_LIFETIME)
    return keys.join_token(home, row.guid)


def ask(token: str, server: NewServer, *, home: Home, now: datetime) -> JoinRequest:
    """On the joining server: make key and home, and leave a request for the CA server."""
    server.check()
    row = _token_row(token)
    answered = JoinRequest.objects.filter(token=row, name=server.name, device__isnull=False).first()
    if answered is not None:
        return answered  # this command was broken off while it waited
    home.make()
    keys.make_key_encryption_key(home)
    key_type = _key_type(row.zone)
    key = pki_keys.from_der(home.current_key(lambda: pki_keys.to_der(pki_keys.generate(key_type))))
    request = JoinRequest(
        token=row,
        name=server.name,
        dns_name=server.dns_name,
        addresses=server.addresses,
        csr=csr.build(
            key,
            subject_dns=server.dns_name,
            dns_names=[server.dns_name],
            ip_addresses=server.addresses,
        ),
        seal_public=sealing_keys.own(home).public_key().public_bytes_raw(),
        created_at=now,
    )
    request.mac = _mac(token, request)
    JoinRequest.objects.filter(token=row).delete()  # an attempt that was broken off
    request.save()
    return request


def _token_row(token: str) -> JoinToken:
    try:
        guid = UUID(token.split(".")[0])
    except ValueError as error:
        raise CannotJoin("This is not a join token. Copy the whole of it.") from error
    row = JoinToken.objects.filter(guid=guid).select_related("zone").first()
    if row is None:
        raise CannotJoin("This join token is unknown here. Make one with create_join_token.")
    return row


def _key_type(zone: Zone) -> str:
    """Servers get keys of the kind their CA has."""
    active = _active(zone)
    return pki_keys.key_type_of(active.x509().public_key()) or pki_keys.DEFAULT


def _active(zone: Zone) -> CertificateAuthority:
    return CertificateAuthority.objects.get(zone=zone, state=CAState.ACTIVE)


def _mac(token: str, request: JoinRequest) -> bytes:
    """HMAC-SHA256 under the token over the request, each part with its length."""
    parts = [
        request.name.encode(),
        request.dns_name.encode(),
        json.dumps(request.addresses).encode(),
        bytes(request.csr),
        bytes(request.seal_public),
    ]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(token.encode(), message, hashlib.sha256)


def answer(request: JoinRequest, *, home: Home, hold: HasHold, now: datetime) -> None:
    """On the CA server: check the claimed request; give a certificate, or say why not."""
    try:
        _check(request, home=home, now=now)
    except CannotJoin as error:
        claims.mine(request).update(refusal=str(error)[:400], claim_id=None, lease_until=None)
        return
    zone = request.token.zone
    authority = _active(zone)
    key = keys.load_ca_key(home, zone, authority.guid)
    device = _device(request, now=now)
    certificate = issuing.sign_server(
        authority,
        key,
        request_der=bytes(request.csr),
        device=device,
        include_additional=False,
        hold=hold,
        now=now,
    )
    with transaction.atomic():
        device.save()
        row = ServerCertificate.objects.create(
            device=device,
            authority=authority,
            state=certificates.State.CURRENT,
            csr=request.csr,
            created_at=now,
            activated_at=now,
            **Certificate.columns(certificate),
        )
        update_key = keys.load_update_key(home, zone)
        sealing_keys.vouch(device, bytes(request.seal_public), update_key=update_key)
        _join_operation(device, now=now)
        JoinToken.objects.filter(pk=request.token_id).update(used_at=now)
        claims.mine(request).update(
            device=device, answer=_sealed(request, row, home), claim_id=None, lease_until=None
        )


def _check(request: JoinRequest, *, home: Home, now: datetime) -> None:
    token = keys.join_token(home, request.token.guid)
    if not hmac.compare_digest(_mac(token, request), bytes(request.mac)):
        raise CannotJoin("The join token does not fit this request.")
    if request.token.used_at is not None:
        raise CannotJoin("This join token has been used. Make another one.")
    if request.token.expires_at <= now:
        raise CannotJoin("This join token has expired. Make another one.")
    NewServer(
        name=request.name, dns_name=request.dns_name, addresses=list(request.addresses)
    ).check()
    taken = Device.objects.filter(zone=request.token.zone, name=request.name).exists()
    if taken:
        raise CannotJoin(f"There is a device called {request.name} already. Choose another name.")
    if not _active(request.token.zone).is_internal:
        raise CannotJoin("The zone's CA is external: no certificate can be made for this server.")
    device = _device(request, now=now)
    try:
        csr.check(bytes(request.csr))
        devices.refuse_taken(device, [request.dns_name], list(request.addresses))
    except (ValueError, devices.InvalidNames) as error:
        raise CannotJoin(str(error)) from error


def _device(request: JoinRequest, *, now: datetime) -> Device:
    return Device(
        zone=request.token.zone,
        name=request.name,
        kind=Kind.PRIMARY_SERVER,
        dns_name=request.dns_name,
        addresses=request.addresses,
        version=agent.VERSION,
        enrolled_at=now,
    )


def _join_operation(device: Device, *, now: datetime) -> None:
    """A server that joins during an operation gets its current and its future certificate."""
    live = Operation.objects.filter(zone=device.zone).open().select_related("update").first()
    if live is not None:
        ServerProgress.objects.get_or_create(operation=live, device=device)
        updates.add_late_comer(live.update, device, now=now)


def _sealed(request: JoinRequest, row: ServerCertificate, home: Home) -> bytes:
    zone = request.token.zone
    shared = {
        "guid": str(row.device.guid),
        "chain": server_steps.chain_pem(row).decode(),
        "ca": trust.anchor_pem(row.authority) if row.authority else "",
        "anchors": trust.wanted(zone)["anchors"],
        "update_key": keys.load_update_key(home, zone).public_key().public_bytes_raw().hex(),
        "secret_key": secrets.make(settings.SECRET_KEY_FILE),
    }
    public = X25519PublicKey.from_public_bytes(bytes(request.seal_public))
    return sealing.seal_to(public, json.dumps(shared).encode(), context=_context(request))


def _context(request: JoinRequest) -> bytes:
    return f"zcc join {request.token.guid} {request.name}".encode()


def accept(request: JoinRequest, *, home: Home) -> None:
    """
    On the joining server: open the answer, install what it brings, and delete the request.

    Raises CannotJoin with the CA server's reason when it refused.
    """
    if request.refusal:
        raise CannotJoin(request.refusal)
    if request.answer is None or request.device is None:
        raise CannotJoin("The CA server has not answered yet.")
    plain = sealing.unseal_with(
        sealing_keys.own(home), bytes(request.answer), context=_context(request)
    )
    shared = json.loads(plain)
    secrets.keep(settings.SECRET_KEY_FILE, shared["secret_key"])
    home.install(
        key_der=home.current_key(_no_key),
        chain_pem=shared["chain"].encode(),
        ca_pem=shared["ca"].encode(),
    )
    home.set_anchors([anchor.encode() for anchor in shared["anchors"]])
    outgoing.write_bundle(home)
    home.write_file(here.UPDATE_KEY, bytes.fromhex(shared["update_key"]))
    here.write_identity(
        here.Identity(
            name=request.name,
            guid=shared["guid"],
            dns_name=request.dns_name,
            address=request.addresses[0],
        )
    )
    request.delete()


def _no_key() -> bytes:
    raise CannotJoin("The key that this server asked with is gone. Ask again with a new token.")
