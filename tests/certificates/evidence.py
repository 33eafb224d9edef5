"""An operation in Strict with everything an evidence pack tells of, and packs that were forged."""

import io
import json
import zipfile
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certificates import evidence, trust
from certificates.actions import decisions
from certificates.models import Operation, PublishedTrust
from devices.models import Device
from pki import evidence as signing
from pki import manifest
from systemupdates import actions as updates
from systemupdates import chosen
from tests.certificates import building


def tell(ca, alice, now):
    """Run an operation in Strict: ws-1 is proven, ws-2 signed off, ws-3 ignored."""
    at = now - timedelta(hours=1)
    for name in ("ws-1", "ws-2", "ws-3"):
        building.make_device(ca.zone, name, now, kind="workstation")
    operation = building.make_operation(ca, by=alice, now=at)
    Operation.objects.filter(pk=operation.pk).update(policy="strict")
    operation.refresh_from_db()
    building.assign(building.prepare(operation, at), at, by=alice)
    leaf = operation.server_certificates.get(device__name="ps1").sha256
    for name in ("auth1", "ws-1"):
        device = Device.objects.get(name=name)
        device.trusted_fingerprints = [operation.new_ca.sha256]
        device.save()
        operation.update.device_updates.filter(device=device).move(to="pending", by=None, at=at)
        updates.note_proof(operation.update, device, leaf=leaf, problem="", refused=False, at=at)
    ws_2, ws_3 = Device.objects.get(name="ws-2"), Device.objects.get(name="ws-3")
    chosen.ignore(operation.update, [ws_3], by=alice, now=at)
    decisions.sign_off(operation, {ws_2.pk}, reason="in store", by=alice, now=at)
    building.overlap(building.arm(operation, at), at)
    return operation


def publish(zone, key, now, *, epoch):
    payload = {
        "version": 1,
        "zone": str(zone.guid),
        "epoch": epoch,
        "issued_at": trust.instant(now),
        "expires_at": trust.instant(now + timedelta(days=30)),
        **trust.wanted(zone),
    }
    PublishedTrust.objects.create(
        zone=zone,
        epoch=epoch,
        envelope=manifest.sign(payload, key).decode(),
        digest=str(epoch),
        published_at=now,
        expires_at=now + timedelta(days=30),
    )


class Made:
    """A pack, the key that signed it, and what it becomes in a forger's hands."""

    def __init__(self, operation, now, *, manifests=2):
        self.key = Ed25519PrivateKey.generate()
        for epoch in range(1, manifests + 1):
            publish(operation.zone, self.key, now, epoch=epoch)
        covers = operation.events.latest("pk").pk
        self.bytes, self.counts = evidence.build(operation, self.key, covers=covers, now=now)

    @property
    def public(self):
        return self.key.public_key().public_bytes_raw()

    def members(self):
        with zipfile.ZipFile(io.BytesIO(self.bytes)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def forged(self, member, change):
        """Return the pack with another member, signed as if the zone had made it."""
        members = self.members()
        members[member] = change(members[member])
        return self.packed(members)

    def packed(self, members):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.comment = signing.ROOM
            for name, data in members.items():
                if data is not None:
                    archive.writestr(name, data)
        return signing.sign(buffer.getvalue(), self.key)


def in_object(change):
    """Change the JSON object that a member is."""

    def changed(data):
        parsed = json.loads(data)
        change(parsed)
        return json.dumps(parsed).encode()

    return changed


def in_rows(change):
    """Change the list of JSON objects that a member holds, one a line."""

    def changed(data):
        rows = [json.loads(line) for line in data.splitlines()]
        rows = change(rows) or rows
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    return changed
