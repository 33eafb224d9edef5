"""The single facts of an evidence pack, as plain values: see certificates.evidence."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Q

from agent.evidence_pack import FORMAT
from certificates import trust
from certificates.models import (
    CertificateAuthority,
    IssuedCertificate,
    LinkCertificate,
    Operation,
    OperationEvent,
    PublishedTrust,
    ServerCertificate,
    SignOff,
)
from certificates.wording import name_of, state_word
from pki import describe
from systemupdates.models import DeviceUpdate

README = """\
Evidence pack of a CA operation of a zone.

  operation.json     what was asked for, by whom, when; the counts of everything below
  events.jsonl       the history: every change and decision, with time and person
  authorities.json   the CAs and links; their certificates, and the servers', are in certificates/
  servers.json       each server's steps and certificates
  devices.jsonl      each device's final state and proof
  ignored.jsonl      devices that were left out, by whom
  sign-offs.json     the lists of devices that were allowed to lose contact, with the reason
  trust.jsonl        the signed trust manifests that were published
  update-key.pem     the zone update key, for the command below. Compare it with one you know!

Check all of it:   python3 agent.pyz evidence FILE --key HEX
The signature is the last 88 characters of the file, over everything before them:

  head -c -88 FILE > signed.bin
  tail -c 88 FILE | openssl base64 -d -A > signature.bin
  openssl pkeyutl -verify -pubin -inkey update-key.pem -rawin -in signed.bin -sigfile signature.bin
"""


def instant(at: datetime | None) -> str | None:
    """Return the instant as the agent reads it: ISO 8601 in UTC, with Z."""
    return trust.instant(at) if at else None


def person(user: Any) -> dict[str, str] | None:
    """Return who it was; None: the software."""
    return {"user": user.get_username(), "name": name_of(user)} if user else None


def about(operation: Operation, counts: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return what was asked for and what came of it."""
    wishes = (
        *("guid", "kind", "state", "policy", "common_name", "key_type", "years"),
        *("include_additional_dns_names", "csr_mode", "csr_subject", "without_certificate"),
        *("held_reason", "problem", "retire_after"),
    )
    times = ("created_at", "activate_at", "activated_at", "needed_at")
    said = {name: getattr(operation, name) for name in wishes}
    return {
        "format": FORMAT,
        "made_at": instant(now),
        "zone": {"guid": str(operation.zone.guid), "name": operation.zone.name},
        "operation": {
            **said,
            "guid": str(operation.guid),
            **{name: instant(getattr(operation, name)) for name in times},
            "kind_name": operation.get_kind_display(),
            "state_name": state_word(operation),
            "policy_name": operation.get_policy_display(),
            "created_by": person(operation.created_by),
            "initiating_server": operation.initiating_server.name,
            "update": str(operation.update.guid),
        },
        "counts": counts,
    }


def events(operation: Operation, own: list[OperationEvent]) -> Iterator[dict[str, Any]]:
    """Yield its own events and those of its update in the order of time."""
    rows: list[tuple[str, Any]] = [("operation", event) for event in own]
    rows += [("update", event) for event in operation.update.events.select_related("by")]
    for of, event in sorted(rows, key=lambda row: row[1].at):
        yield {
            "id": event.pk,
            "at": instant(event.at),
            "of": of,
            "state": event.state,
            "state_name": str(event.get_state_display()),
            "by": person(event.by),
            "note": getattr(event, "note", ""),
        }


def sign_offs(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the lists of devices that were allowed to lose contact."""
    rows: Any = SignOff.objects.filter(operation=operation).select_related("by")
    for row in rows:
        yield {
            "at": instant(row.at),
            "by": person(row.by),
            "reason": row.reason,
            "voided_at": instant(row.voided_at),
            "devices": row.devices,
        }


def device(row: DeviceUpdate, *, leaf: str) -> dict[str, Any]:
    """Return what became of one device; `leaf` is of the proof that counts, if there is one."""
    device = row.device
    return {
        "id": device.pk,
        "guid": str(device.guid),
        "name": device.name,
        "kind": device.kind,
        "state": row.state,
        "changed_at": instant(row.changed_at),
        "reason": row.reason,
        "enrolled_at": instant(device.enrolled_at),
        "retired_at": instant(device.retired_at),
        "trusts": device.trusted_fingerprints,
        "proof": {"at": instant(row.proven_at), "leaf": leaf, "problem": row.proof_problem},
    }


def manifests(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the trust manifest before the operation, and those until the next one began."""
    published = PublishedTrust.objects.filter(zone=operation.zone_id).order_by("epoch")
    before = published.filter(published_at__lt=operation.created_at).last()
    since = published.filter(published_at__gte=operation.created_at)
    following = Operation.objects.filter(zone=operation.zone_id, pk__gt=operation.pk)
    if (next_one := following.order_by("pk").first()) is not None:
        since = since.filter(published_at__lt=next_one.created_at)
    for row in [*([before] if before else []), *since]:
        yield {
            "epoch": row.epoch,
            "published_at": instant(row.published_at),
            "sha256": hashlib.sha256(row.envelope.encode()).hexdigest(),
            "envelope": row.envelope,
        }


_STEPS = (
    *("requested_at", "staged_at", "updater_ran_at", "armed_at", "activated_at"),
    *("retired_at", "cleaned_at", "rolled_back_at"),
)


class Certificates:
    """The certificates of an operation: both CAs, the links, and everything its servers got."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.pem: dict[str, bytes] = {}
        self._links = list(self._of_links())
        self._authorities = list(self._of_authorities())
        rows = ServerCertificate.objects.filter(operation=operation).exclude(sha256="")
        self._server_certificates = list(rows.order_by("pk"))
        # What the new CA signed for servers: also what was replaced before it was used.
        self.issued = sorted(self._of_issued()) if operation.new_ca_id else []
        for row in [*self._authorities, *self._links, *self._server_certificates]:
            self._keep(row.x509())

    def _keep(self, certificate: x509.Certificate) -> str:
        sha256 = describe.fingerprint(certificate)
        self.pem[sha256] = certificate.public_bytes(Encoding.PEM)
        return sha256

    def _of_links(self) -> Any:
        new_ca, old_ca = self.operation.new_ca_id, self.operation.old_ca_id
        older = self.operation.old_ca.generation
        forward = Q(certified=new_ca, authority__generation__lte=older)
        rows = LinkCertificate.objects.filter(forward | Q(certified=old_ca, authority=new_ca))
        return rows.select_related("certified", "authority").order_by("pk")

    def _of_authorities(self) -> Any:
        wanted = {self.operation.old_ca_id, self.operation.new_ca_id}
        wanted |= {link.authority_id for link in self._links}
        rows = CertificateAuthority.objects.filter(pk__in=[pk for pk in wanted if pk])
        return rows.exclude(sha256="").order_by("generation")

    def _of_issued(self) -> Iterator[str]:
        rows = IssuedCertificate.objects.filter(
            authority=self.operation.new_ca, purpose="server"
        ).exclude(der=None)
        if self.operation.activated_at is not None:
            rows = rows.filter(planned_at__lte=self.operation.activated_at)
        for der in rows.order_by("pk").values_list("der", flat=True):
            yield self._keep(x509.load_der_x509_certificate(bytes(der or b"")))

    @property
    def leaves(self) -> set[str]:
        """The fingerprints of which a proof counts."""
        return {row.sha256 for row in self._server_certificates} | set(self.issued)

    def authorities(self) -> dict[str, Any]:
        """Return the CAs and the links between them."""
        roles = {self.operation.old_ca_id: "old", self.operation.new_ca_id: "new"}
        return {
            "authorities": [
                {
                    "role": roles.get(row.pk, "older"),
                    "name": row.named,
                    "generation": row.generation,
                    "kind": row.kind,
                    "state": row.state,
                    "sha256": row.sha256,
                    "subject": row.subject,
                    "activated_at": instant(row.activated_at),
                    "expires_at": instant(row.expires_at),
                    "retired_at": instant(row.retired_at),
                    "key_destroyed_at": instant(row.key_destroyed_at),
                }
                for row in self._authorities
            ],
            "links": [
                {
                    "sha256": row.sha256,
                    "certified": row.certified.sha256,
                    "by": row.authority.sha256,
                    "expires_at": instant(row.expires_at),
                    "revoked_at": instant(row.revoked_at),
                }
                for row in self._links
            ],
        }

    def servers(self) -> list[dict[str, Any]]:
        """Return each server's steps and certificates."""
        rows = self.operation.servers.select_related("device").order_by("device__name")
        return [
            {
                "name": row.device.name,
                "guid": str(row.device.guid),
                **{step: instant(getattr(row, step)) for step in _STEPS},
                "problem": row.problem,
                "certificates": [
                    {"sha256": found.sha256, "state": found.state}
                    for found in self._server_certificates
                    if found.device_id == row.device_id
                ],
            }
            for row in rows
        ]
