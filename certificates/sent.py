"""
What each server sends: now, and in the states of the zone that may come.

It is worked out from rows by the functions that the servers go by themselves (`links`), and from
what the home of each has followed: a server that is away sends what it sent last. For the future
such a server is taken to stay as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from django.db.models import F, QuerySet

from certificates import links, retirement, trust
from certificates.models import (
    CertificateAuthority,
    HomeTrust,
    Operation,
    PublishedTrust,
    ServerCertificate,
    ServerProgress,
)
from certificates.models.authority import TRUSTED_STATES, distinct
from certificates.models.authority import State as CAState
from certificates.models.server_certificate import State
from devices.models import Device, Zone
from devices.standing import standing as contact
from pki.reach import Sent

NOW, ACTIVATION, RETIREMENT, ROLLBACK = "now", "activation", "retirement", "rollback"
Authorities = Sequence[CertificateAuthority]


@dataclass(frozen=True)
class Server:
    """A server, in words what it sends, and whether it is away and follows later."""

    device: Device
    says: str
    sent: Sent | None
    is_late: bool = False


class Servers:
    """Every server of the zone, for an operation if there is one."""

    def __init__(self, zone: Zone, operation: Operation | None, *, now: datetime) -> None:
        self.zone, self.operation, self.now = zone, operation, now
        self._found: dict[str, list[Server]] = {}
        self._links: dict[tuple[int, ...], tuple[x509.Certificate | None, bool]] = {}

    def in_state(self, state: str) -> list[Server]:
        """Return what every server sends in that state; Primary Servers first, by name."""
        if state not in self._found:
            self._found[state] = [self._in_state(device, state) for device in self._devices]
        return self._found[state]

    def _in_state(self, device: Device, state: str) -> Server:
        operation = self.operation
        if state == NOW or operation is None or operation.new_ca is None:
            return self._as_it_is(device)
        if self._is_late(device):
            return self._as_it_is(device, is_late=True)
        old, new = operation.old_ca, operation.new_ca
        if state == ROLLBACK:
            return self._turned(device, new, old, distinct([*self._trusted, new]))
        return self._turned(device, old, new, self._trusted_after(state, new))

    def _trusted_after(self, state: str, new: CertificateAuthority) -> Authorities:
        """The CAs that are trusted after the activation, or after the retirement of the old one."""
        operation = self.operation
        if operation is None or operation.is_strict:
            return [new]
        trusted = distinct([*self._trusted, new])
        if state == ACTIVATION:
            return trusted
        return [ca for ca in trusted if not retirement.ends_with(operation, ca.pk, ca.generation)]

    # Now

    def _as_it_is(self, device: Device, *, is_late: bool = False) -> Server:
        current = self._one(device, State.CURRENT)
        if current is None or current.authority is None:
            return Server(device, "no certificate", None, is_late)
        known = self._followed(device, current.authority)
        link = self._link(current.authority, known)
        armed = self._armed.get(device.pk)
        if armed is not None:
            bridge = links.bridge(armed)
            link = (_loaded(bridge), True) if bridge else link
        before = self._before(device, current)
        is_shown = before is not None and before.authority in known
        return self._server(device, current, link, before if is_shown else None, is_late)

    def _followed(self, device: Device, shown: CertificateAuthority) -> Authorities:
        """
        The CAs that the server's home knew as trusted when it followed the zone last.

        Of a server that has switched since, those that are trusted now: it followed as it did so.
        """
        published = self._followed_epochs.get(device.pk)
        if published is None or published.epoch == self._newest_epoch:
            return [] if published is None and self._newest_epoch else self._trusted
        update = trust.update_in(published)
        found = set(trust.anchors_in(published))
        if update is not None and not update["activated"]:
            found.discard(update["new_anchor"])
        known = [ca for ca in self._authorities if ca.sha256 in found]
        return self._trusted if shown not in known and shown in self._trusted else known

    def _before(self, device: Device, current: ServerCertificate) -> ServerCertificate | None:
        """What the home keeps in previous/: what was live before the last switch or rollback."""
        if not device.is_primary_server:
            return None  # agents ask the rescue ports of Primary Servers alone
        rows = [row for row in self._certificates[device.pk] if row.state == State.PREVIOUS]
        undone = self._undone.get(device.pk, [])
        last = max(undone, default=0)
        if last > (current.operation_id or 0):
            return next((row for row in rows if row.operation_id == last), None)
        kept = [row for row in rows if row.operation_id not in undone]
        return next((row for row in kept if row.authority_id != current.authority_id), None)

    # In the states to come

    def _turned(
        self,
        device: Device,
        old: CertificateAuthority,
        new: CertificateAuthority,
        after: Authorities,
    ) -> Server:
        """The server once it shows its certificate of the CA `new`, if it has one of that."""
        current = self._one(device, State.CURRENT)
        shown = self._of(device, new) or current
        if shown is None or shown.authority is None:
            return Server(device, "no certificate", None)
        other = self._of(device, old) if device.is_primary_server else None
        is_kept = shown.authority == new and other is not None and other.authority in after
        link = self._link(shown.authority, after)
        return self._server(device, shown, link, other if is_kept else None)

    def _of(self, device: Device, ca: CertificateAuthority) -> ServerCertificate | None:
        """The newest certificate of that CA that the server shows, has shown, or is to show."""
        states = (State.CURRENT, State.FUTURE, State.PREVIOUS)
        rows = [row for row in self._certificates[device.pk] if row.authority_id == ca.pk]
        return next((row for state in states for row in rows if row.state == state), None)

    # The pieces

    def _server(
        self,
        device: Device,
        row: ServerCertificate,
        link: tuple[x509.Certificate | None, bool],
        rescue: ServerCertificate | None,
        is_late: bool = False,
    ) -> Server:
        linked, is_backward = link
        shown = _chain(rescue) if rescue is not None else ()
        sent = Sent(device.address, _chain(row), linked, is_backward, shown)
        words = [self._name(row)]
        if linked is not None:
            words.append("backward link" if is_backward else "link")
        said = ", ".join(words)
        return Server(device, f"late: {said}" if is_late else said, sent, is_late)

    def _name(self, row: ServerCertificate) -> str:
        operation = self.operation
        if operation is not None and row.authority_id == operation.new_ca_id:
            return "new certificate"
        if operation is not None and row.authority_id == operation.old_ca_id:
            return "old certificate"
        is_active = row.authority is not None and row.authority.state == CAState.ACTIVE
        return "certificate" if is_active else "certificate of another CA"

    def _link(
        self, authority: CertificateAuthority, trusted: Authorities
    ) -> tuple[x509.Certificate | None, bool]:
        """The link to that CA, and whether it speaks in the name of a later one."""
        vouching = [ca for ca in trusted if ca.is_internal and not ca.is_expired(self.now)]
        key = (authority.pk, *(ca.pk for ca in vouching))
        if key not in self._links:
            pem = links.for_leaf_of(authority, trusted=vouching)
            beside = links.oldest_beside(authority, vouching)
            is_backward = beside is not None and beside.generation > authority.generation
            self._links[key] = (_loaded(pem) if pem else None, is_backward)
        return self._links[key]

    def _one(self, device: Device, state: State) -> ServerCertificate | None:
        rows = self._certificates[device.pk]
        return next((row for row in rows if row.state == state), None)

    def _is_late(self, device: Device) -> bool:
        """Whether the server is away, so that nobody waits for it: it stays as it is for now."""
        if device.is_primary_server:
            return not device.is_alive(self.now)
        return contact(device, now=self.now).family == "warn"

    # Rows, each sort asked for once

    @cached_property
    def _devices(self) -> list[Device]:
        servers = Device.objects.filter(zone=self.zone).active().tls_servers()
        found = list(servers.select_related("heartbeat", "zone").order_by("name"))
        return sorted(found, key=lambda server: not server.is_primary_server)

    @cached_property
    def _certificates(self) -> dict[int, list[ServerCertificate]]:
        """The certificates of each server, the one in use last coming first."""
        found: dict[int, list[ServerCertificate]] = {device.pk: [] for device in self._devices}
        shown = (State.CURRENT, State.FUTURE, State.PREVIOUS)
        newest = F("activated_at").desc(nulls_last=True)
        rows = ServerCertificate.objects.filter(device__in=found, state__in=shown)
        # Of CAs that are retired long ago nothing is shown any more.
        gone = {"state": State.PREVIOUS, "authority__state": CAState.RETIRED}
        rows = rows.exclude(der=None).exclude(**gone)
        for row in rows.select_related("authority").order_by(newest, "-pk"):
            found[row.device_id].append(row)
        return found

    @cached_property
    def _authorities(self) -> list[CertificateAuthority]:
        rows = CertificateAuthority.objects.filter(zone=self.zone).exclude(der=None)
        return list(rows.order_by("generation"))

    @cached_property
    def _trusted(self) -> list[CertificateAuthority]:
        return [ca for ca in self._authorities if ca.state in TRUSTED_STATES]

    @property
    def _steps(self) -> "QuerySet[ServerProgress]":
        return ServerProgress.objects.filter(device__in=self._devices).order_by("operation_id")

    @cached_property
    def _armed(self) -> dict[int, Operation]:
        """By server for which operation it is armed and has not switched: it sends the bridge."""
        rows = self._steps.filter(armed_at__isnull=False, activated_at=None, rolled_back_at=None)
        rows = rows.filter(cleaned_at=None).select_related("operation")
        return {row.device_id: row.operation for row in rows}

    @cached_property
    def _undone(self) -> dict[int, list[int]]:
        """By server the operations whose certificate it has shown and taken back."""
        found: dict[int, list[int]] = {}
        for row in self._steps.exclude(rolled_back_at=None).exclude(activated_at=None):
            found.setdefault(row.device_id, []).append(row.operation_id)
        return found

    @cached_property
    def _newest_epoch(self) -> int:
        newest = trust.published(self.zone)
        return newest.epoch if newest else 0

    @cached_property
    def _followed_epochs(self) -> dict[int, PublishedTrust]:
        """By server the manifest that its home follows; a Satellite follows at each refresh."""
        rows = HomeTrust.objects.filter(device__in=self._devices)
        epochs = dict(rows.values_list("device_id", "epoch"))
        epochs |= {
            device.pk: self._epoch_at(device.last_full_refresh_at)
            for device in self._devices
            if not device.is_primary_server
        }
        published = PublishedTrust.objects.filter(zone=self.zone, epoch__in=set(epochs.values()))
        by_epoch = {row.epoch: row for row in published}
        return {pk: by_epoch[epoch] for pk, epoch in epochs.items() if epoch in by_epoch}

    def _epoch_at(self, at: datetime | None) -> int:
        """The newest epoch that was published by then."""
        known = [epoch for epoch, since in self._published_at if at is not None and since <= at]
        return max(known, default=0)

    @cached_property
    def _published_at(self) -> list[tuple[int, datetime]]:
        rows = PublishedTrust.objects.filter(zone=self.zone)
        return list(rows.values_list("epoch", "published_at"))


def _chain(row: ServerCertificate) -> tuple[x509.Certificate, ...]:
    others = row.intermediates.encode()
    return (row.x509(), *(x509.load_pem_x509_certificates(others) if others else ()))


def _loaded(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)
