"""Rows of a zone with real certificates (EC P-256, for speed), as the engine would leave them."""

import uuid
from datetime import timedelta
from functools import cache

from django.contrib.auth.models import Permission, User

from certificates.models import (
    CertificateAuthority,
    KeyRequest,
    LinkCertificate,
    Operation,
    ServerCertificate,
    ServerProgress,
    VerifiedBackup,
)
from certificates.models.certificate import Certificate
from devices.models import Device, Heartbeat, Zone
from pki import authority as authorities
from pki import issue, keys, names
from systemupdates import actions as updates
from systemupdates.models import DeviceUpdate

VERSION = "1.0"
PASSWORD = "correct horse battery staple"


@cache
def key(number=0):
    """One key a generation is enough: nothing here looks at a second zone."""
    return keys.generate("ec-p256")


def make_zone(now, *, name="DEMO-ZONE"):
    return Zone.objects.create(name=name, created_at=now - timedelta(days=100))


def make_device(zone, name, now, *, kind="primary", **columns):
    facts = {
        "zone": zone,
        "name": name,
        "kind": kind,
        "dns_name": f"{name}.demo.zone",
        "addresses": ["127.0.0.1"],
        "version": VERSION,
        "enrolled_at": now - timedelta(days=90),
        "last_contact_at": now,
    }
    device = Device.objects.create(**{**facts, **columns})
    if kind == "primary":
        Heartbeat.objects.create(server=device, at=now, tick_at=now)
    return device


def make_authority(zone, server, now, *, generation=1, state="active", years=10, at=None):
    begins = at or now - timedelta(days=90)
    subject = names.ca_subject(zone.name, serial_number=str(generation))
    plan = authorities.plan_root(subject, key(generation), now=begins, years=years)
    certificate = issue.sign(plan, key(generation))
    return CertificateAuthority.objects.create(
        zone=zone,
        kind="internal",
        state=state,
        generation=generation,
        server=server,
        created_at=begins,
        **Certificate.columns(certificate),
    )


def make_certificate(device, ca, now, *, state="current", operation=None, **columns):
    plan = issue.plan_server(
        key(100).public_key(),
        issuer=ca.x509(),
        subject_dns=device.dns_name,
        dns_names=[device.dns_name],
        ip_addresses=device.addresses,
        now=now,
    )
    certificate = issue.sign(plan, key(ca.generation))
    return ServerCertificate.objects.create(
        device=device,
        authority=ca,
        operation=operation,
        state=state,
        created_at=now,
        **{**Certificate.columns(certificate), **columns},
    )


def make_link(certified, by, now):
    plan = authorities.plan_link(certified.x509(), issuer=by.x509(), now=now)
    certificate = issue.sign(plan, key(by.generation))
    return LinkCertificate.objects.create(
        certified=certified, authority=by, **Certificate.columns(certificate)
    )


def make_person(username, *rights, full_name=""):
    first, _, last = full_name.partition(" ")
    user = User.objects.create_user(username, password=PASSWORD, first_name=first, last_name=last)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return user


def note_backup(ca, *, by, at):
    """The key of the CA has a verified backup."""
    return VerifiedBackup.objects.create(authority=ca, file_sha256="cd" * 32, by=by, at=at)


def make_key_request(ca, kind, state, *, by, now):
    """A request about the keys as it stands in `state`."""
    entry = {
        "number": ca.generation,
        "guid": str(ca.guid),
        "sha256": ca.sha256,
        "expires_at": ca.expires_at.isoformat(),
        "issued": 4,
    }
    found = {
        "zone": str(ca.zone.guid),
        "zone_name": ca.zone.name,
        "made_at": now.isoformat(),
        "made_on": ca.server.name,
        "epoch": 3,
        "generations": [entry],
    }
    return KeyRequest.objects.create(
        zone=ca.zone,
        kind=kind,
        state=state,
        server=ca.server,
        holder=ca.server,
        turn=ca.server,
        asked_from=ca.server,
        asked_by=by,
        asked_at=now,
        expires_at=now + timedelta(minutes=1),
        answer=b"sealed" if kind == "backup" and state == "done" else None,
        file_name="demo-zone-ca-2026-11-25.zip",
        file_sha256="ef" * 32,
        findings=found if state == "done" else {},
        problem="ps1 did not do it within a minute." if state == "refused" else "",
    )


def make_operation(ca, *, by, now, activate_at=None):
    """An operation that has just been initiated, with its servers."""
    zone, server = ca.zone, ca.server
    others = Device.objects.filter(zone=zone, trusted_fingerprints=[]).exclude_primary_servers()
    others.update(trusted_fingerprints=[ca.sha256])
    update = updates.create_update(zone, name="Remint CA", initiating_server=server, by=by, now=now)
    operation = Operation.objects.create(
        zone=zone,
        kind="remint_ca",
        initiating_server=server,
        update=update,
        old_ca=ca,
        common_name=zone.name,
        key_type="ec-p256",
        years=10,
        activate_at=activate_at or now + timedelta(days=10),
        created_by=by,
        created_at=now,
        idempotency_key=uuid.uuid4(),
    )
    operation.events.create(state=operation.state, by=by, at=now)
    for device in Device.objects.filter(zone=zone).active().tls_servers():
        ServerProgress.objects.create(operation=operation, device=device)
    return operation


def prepare(operation, now):
    """The new CA, the links and every server's future certificate are made."""
    old = operation.old_ca
    new = make_authority(
        operation.zone, old.server, now, generation=old.generation + 1, state="future", at=now
    )
    CertificateAuthority.objects.filter(pk=new.pk).update(guid=operation.guid)
    make_link(new, old, now)
    make_link(old, new, now)
    updates.start_replication(operation.update, sha256="ab" * 32, size=14000, now=now)
    operation.mark_prepared(new_ca=new, at=now)
    for progress in operation.servers.select_related("device"):
        make_certificate(progress.device, new, now, state="future", operation=operation)
    operation.servers.update(requested_at=now)
    return operation


def assign(operation, now, *, by=None):
    updates.assign(operation.update, by=by, now=now)
    operation.mark_assigned(by=by, at=now)
    return operation


def arm(operation, now):
    operation.servers.update(staged_at=now, armed_at=now)
    DeviceUpdate.objects.filter(update=operation.update).move(to="pending", by=None, at=now)
    operation.arm(at=now)
    return operation


def activate(operation, now):
    """The new CA is the active one, and every server shows its new certificate."""
    operation.start_activation(at=now)
    operation.old_ca.supersede()
    operation.new_ca.activate(at=now)
    for progress in operation.servers.all():
        rows = ServerCertificate.objects.filter(device=progress.device_id)
        rows.current().move(to="previous")
        rows.filter(state="future").move(to="current", activated_at=now)
    operation.servers.update(activated_at=now)
    return operation


def overlap(operation, now):
    activate(operation, now).finish_activation(at=now)
    return operation
