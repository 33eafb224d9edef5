"""What the dialog says of a request about the zone's keys: while it goes on, and at its end."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.urls import reverse

from certificates import backups
from certificates.models import CertificateAuthority, KeyRequest, VerifiedBackup
from certificates.models.authority import State as CAState
from certificates.models.key_request import Kind, State

_NOT_DONE = {
    Kind.BACKUP: "No backup was made.",
    Kind.VERIFY: "The backup was not verified.",
    Kind.RESTORE: "The CA was not restored.",
    Kind.MOVE: "The CA role was not moved.",
}

_DIALOGS = {
    Kind.BACKUP: "certificates:backup_ca",
    Kind.VERIFY: "certificates:verify_backup",
    Kind.RESTORE: "certificates:restore_ca",
    Kind.MOVE: "certificates:move_ca_role",
}


@dataclass(frozen=True)
class Held:
    """One generation in a backup, and the CA of this zone that it is, if any."""

    number: int
    sha256: str
    expires_at: datetime
    issued: int
    authority: CertificateAuthority | None


class Shown:
    """A request as its dialog shows it."""

    def __init__(self, request: KeyRequest) -> None:
        self.request = request

    @property
    def is_open(self) -> bool:
        return self.request.is_open

    @property
    def is_refused(self) -> bool:
        return self.request.state == State.REFUSED

    @property
    def again(self) -> str:
        """Where the same is asked for once more; with a file, the form says what was wrong."""
        url = reverse(_DIALOGS[Kind(self.request.kind)])
        return f"{url}?again={self.request.guid}" if self.had_file else url

    @property
    def had_file(self) -> bool:
        """Whether a file was uploaded for it."""
        return self.request.kind in (Kind.VERIFY, Kind.RESTORE)

    @property
    def not_done(self) -> str:
        return _NOT_DONE[Kind(self.request.kind)]

    @property
    def doing(self) -> str:
        """What is going on now, in one sentence."""
        request = self.request
        if request.kind == Kind.BACKUP:
            return f"{request.server.name} makes the backup and reads it back."
        if request.kind == Kind.VERIFY:
            return f"{request.server.name} opens the file and lets each key sign."
        if request.kind == Kind.RESTORE:
            return f"{request.server.name} opens the backup and lets each key sign."
        return {
            State.ASKED: f"{request.holder.name} seals the keys for {request.server.name} alone.",
            State.SENT: f"{request.server.name} stores the keys and signs with each.",
        }.get(State(request.state), f"{request.holder.name} checks the signatures.")

    @property
    def can_be_fetched(self) -> bool:
        return self.request.kind == Kind.BACKUP and self.request.answer is not None

    @cached_property
    def fetched_at(self) -> datetime | None:
        """When the last byte of the backup arrived at whoever asked for it, if it did."""
        rows = VerifiedBackup.objects.filter(file_sha256=self.request.file_sha256)
        found = rows.filter(authority__zone=self.request.zone).order_by("at").first()
        return found.at if found else None

    @property
    def is_waiting(self) -> bool:
        """Whether something will still change by itself: it goes on, or its file is here."""
        return self.is_open or self.can_be_fetched

    @property
    def stage(self) -> str:
        """How far it is: the dialog asks for itself again until that changes."""
        if not self.can_be_fetched:
            return self.request.state
        return "fetched" if self.fetched_at else "made"

    @property
    def lapsed(self) -> bool:
        """Whether the file is gone and nobody has it."""
        is_over = self.request.state == State.DONE and not self.can_be_fetched
        return self.request.kind == Kind.BACKUP and is_over and self.fetched_at is None

    @cached_property
    def held(self) -> list[Held]:
        """The generations in the backup, newest first."""
        known = {ca.sha256: ca for ca in backups.held_authorities(self.request)}
        found = [
            Held(
                entry["number"],
                entry["sha256"],
                datetime.fromisoformat(entry["expires_at"]),
                entry["issued"],
                known.get(entry["sha256"]),
            )
            for entry in self.request.findings.get("generations", [])
        ]
        return sorted(found, key=lambda held: -held.number)

    @cached_property
    def not_held(self) -> list[CertificateAuthority]:
        """The older CAs of this zone that are still trusted and whose key it lacks."""
        held = [held.authority.guid for held in self.held if held.authority]
        others = backups.trusted_besides(self.request.zone, held)
        return [ca for ca in others if ca.state != CAState.ACTIVE]

    @property
    def made_at(self) -> datetime:
        return datetime.fromisoformat(self.request.findings["made_at"])

    @property
    def is_of_this_zone(self) -> bool:
        return bool(self.request.findings["zone"] == str(self.request.zone.guid))

    @property
    def has_another_update_key(self) -> bool:
        """Whether it is called a backup of this zone and is none that its devices would follow."""
        return self.is_of_this_zone and not self.request.findings.get("is_ours", True)

    @cached_property
    def is_current(self) -> bool:
        """Whether the backup holds the key of the CA that is active now."""
        return any(held.authority and held.authority.state == "active" for held in self.held)

    @property
    def ca_is_external(self) -> bool:
        """Whether the key of the CA of today is in no backup, and the role is to sign for it."""
        rows = CertificateAuthority.objects.filter(zone=self.request.zone, state="active")
        return rows.filter(kind="external").exists()
