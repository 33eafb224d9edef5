"""
`Import Certificate`: whatever an external CA sends back, each certificate with its verdict.

A certificate is matched to its server by its key. Good ones are taken, others are refused with a
sentence; one never depends on another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from certificates import judging, lacking, uploads
from certificates.actions import server_certificates
from certificates.models import Operation, ServerCertificate, ServerProgress
from certificates.models.authority import common_name
from certificates.models.operation import CANCELLABLE_STATES
from certificates.models.server_certificate import State
from certificates.uploads import File
from certificates.wording import day_text, listed
from devices.models import Device
from pki import chains, csr, describe, imports, keys
from zcc.templatetags.times import moment_text, planned_text

IMPORTED, REFUSED, SKIPPED = "Imported", "Refused", "Skipped"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one certificate, or of a file that held none."""

    file: str
    word: str
    text: str
    caution: str = ""  # what is to be known of one that was imported
    device: Device | None = None
    # The row to look at (imported) or whose request is to be signed (refused).
    row: ServerCertificate | None = None

    @property
    def family(self) -> str:
        if self.caution:
            return "warn"
        return {IMPORTED: "ok", REFUSED: "bad"}.get(self.word, "mute")


@dataclass
class Import:
    """One upload for an operation: what is known, and the verdicts so far."""

    operation: Operation
    now: datetime
    only: Sequence[Device] = ()  # nobody: every server of the operation
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority = judging.future_ca(self.operation)
        rows = self.operation.server_certificates.exclude(csr=None).select_related("device")
        self.rows: dict[bytes, ServerCertificate] = {}
        for row in rows.order_by("pk"):
            self.rows[keys.spki(csr.check(bytes(row.csr or b"")))] = row
        servers = self.operation.servers.select_related("device", "operation")
        self.progress = {row.device_id: row for row in servers}
        self.pool = judging.known_intermediates(self.operation)
        self.caution = judging.Caution(self.operation, self.authority)
        self.seen: set[str] = set()
        self.used: set[x509.Certificate] = set()

    @property
    def taken(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.word == IMPORTED]

    def add(self, files: Sequence[File]) -> None:
        """Judge every certificate in the files, and take those that will do."""
        read = [(file, _read(file)) for file in files]
        self.pool += [one for _, found in read if isinstance(found, list) for one in found]
        waiting = []
        for file, found in read:
            if isinstance(found, Verdict):
                self.verdicts.append(found)
            elif leaves := [one for one in found if self._is_for_a_server(one)]:
                self.verdicts += [self._judge(file, leaf) for leaf in leaves]
            else:
                waiting.append((file, found))
        self.verdicts += [self._of_cas(file, found) for file, found in waiting]

    def _is_for_a_server(self, certificate: x509.Certificate) -> bool:
        """Whether it is judged by itself: no CA's, or made for the key of one of our servers."""
        try:
            if not imports.is_ca(certificate):
                return True
        except ValueError:
            return True
        return (keys.spki_of(certificate) or b"") in self.rows

    def _of_cas(self, file: File, found: list[x509.Certificate]) -> Verdict:
        names = listed([common_name(describe.describe(one).subject) for one in found])
        if self.used.intersection(found) or self.authority.x509() in found:
            text = f"CA certificates, which complete the chains: {names}."
            return Verdict(file=file.name, word=SKIPPED, text=text)
        text = (
            f"It holds the certificate of a CA ({names}), not of a server. Import what that CA has "
            "signed for the servers."
        )
        return Verdict(file=file.name, word=REFUSED, text=text)

    def _judge(self, file: File, leaf: x509.Certificate) -> Verdict:
        sha256 = describe.fingerprint(leaf)
        if sha256 in self.seen:
            text = "The same certificate was in another file."
            return Verdict(file=file.name, word=SKIPPED, text=text)
        self.seen.add(sha256)
        row = self.rows.get(keys.spki_of(leaf) or b"")
        try:
            if row is None:
                raise ValueError(self._unknown(leaf))
            return self._take(file, leaf, row)
        except ValueError as error:
            device = row.device if row else None
            newest = self._newest(row) if row else None
            return Verdict(file=file.name, word=REFUSED, text=str(error), device=device, row=newest)

    def _unknown(self, leaf: x509.Certificate) -> str:
        chains.check_readable([leaf])
        subject = common_name(describe.describe(leaf).subject)
        return (
            f"Its key is that of no CSR of this operation. It was issued to {subject}. Have the "
            "CSR signed that Download CSR gives you."
        )

    def _newest(self, row: ServerCertificate) -> ServerCertificate | None:
        """The request that is to be signed for this server now."""
        others = [one for one in self.rows.values() if one.device_id == row.device_id]
        return next((one for one in others if one.state == State.REQUESTED), None)

    def _take(self, file: File, leaf: x509.Certificate, row: ServerCertificate) -> Verdict:
        self._check_row(row)
        name, progress = row.device.name, self.progress[row.device_id]
        if row.sha256 == describe.fingerprint(leaf):
            text = f"The certificate of {name} is here already."
            return Verdict(file=file.name, word=SKIPPED, text=text, row=row, device=row.device)
        between = judging.intermediates_of(leaf, progress, pool=self.pool, now=self.now)
        caution = self.caution.of([leaf, *between])
        taken = server_certificates.take_imported(
            row, leaf, between, authority=self.authority, caution=caution, now=self.now
        )
        if not taken:
            raise ValueError(f"{name} has changed meanwhile. Import the certificate again.")
        row.refresh_from_db()
        self.used.update(between)
        until = day_text(leaf.not_valid_after_utc)
        text = f"For {name}. Chain complete, valid to {until}."
        return Verdict(
            file=file.name,
            word=IMPORTED,
            text=text,
            caution=caution,
            device=row.device,
            row=row,
        )

    def _check_row(self, row: ServerCertificate) -> None:
        """Raise ValueError if no certificate is wanted for this key, or not by this dialog."""
        device, progress = row.device, self.progress.get(row.device_id)
        if self.only and device not in self.only:
            wanted = listed([one.name for one in self.only])
            raise ValueError(f"Its key is that of the CSR of {device.name}, not of {wanted}.")
        if progress is None or device.is_retired:
            raise ValueError(f"{device.name} does not take part in this operation any more.")
        if not row.is_coming and row.state != State.CURRENT:
            raise ValueError(self._replaced(row))
        if row.state == State.CURRENT or progress.activated_at:
            raise ValueError(f"{device.name} has switched to its new certificate already.")
        if progress.armed_at:
            raise ValueError(f"{device.name} is armed: what it switches to is settled.")

    def _replaced(self, row: ServerCertificate) -> str:
        made = moment_text(row.created_at)
        later = [one for one in self.rows.values() if one.device_id == row.device_id]
        newest = max(later, key=lambda one: one.pk)
        if newest.pk == row.pk:
            return f"Its key is that of the CSR of {made}, which is not used any more."
        return (
            f"Its key is that of the CSR of {made}, which was replaced on "
            f"{moment_text(newest.created_at)}. Have the newer CSR signed."
        )


def import_files(
    operation: Operation,
    uploaded: Iterable[tuple[str, bytes]],
    *,
    only: Sequence[Device] = (),
    by: Any,
    now: datetime,
) -> list[Verdict]:
    """
    Take the certificates in the files for the servers whose requests they answer.

    Raises judging.NotReady while the future CA is not known.
    """
    work = Import(operation, now=now, only=only)
    work.add(uploads.flat(uploaded))
    if taken := [verdict.device.name for verdict in work.taken if verdict.device]:
        operation.note(f"Imported the certificates of {listed(taken, most=20)}", by=by, at=now)
    return work.verdicts


def _read(file: File) -> list[x509.Certificate] | Verdict:
    """The certificates in a file, or what is to be said of a file without any."""
    if file.problem:
        return Verdict(file=file.name, word=REFUSED, text=file.problem)
    if b"PRIVATE KEY-----" in file.data and b"-----BEGIN CERTIFICATE-----" not in file.data:
        text = "A private key: it was not read. Keys never leave their server."
        return Verdict(file=file.name, word=SKIPPED, text=text)
    try:
        return list(dict.fromkeys(chains.load(file.data)))
    except ValueError as error:
        is_one = b"-----BEGIN" in file.data or file.name.lower().endswith(_ENDINGS)
        if not is_one:
            return Verdict(file=file.name, word=SKIPPED, text="Not a certificate.")
        return Verdict(file=file.name, word=REFUSED, text=str(error))


_ENDINGS = (".der", ".cer", ".crt", ".p7b", ".pem", ".cert")


def waiting(operation: Operation) -> list[ServerProgress]:
    """Return the servers whose request waits to be signed."""
    asked = operation.server_certificates.filter(state=State.REQUESTED).exclude(csr=None)
    rows = operation.servers.filter(device__in=asked.values("device"))
    return list(rows.select_related("device").order_by("device__name"))


def what_follows(operation: Operation, *, is_complete: bool, now: datetime) -> str:
    """Say what becomes of the activation: one whose time has passed comes at once."""
    planned = planned_text(operation.activate_at)
    if operation.activated_at is not None:
        return "" if is_complete else "Each switches as soon as its certificate is here."
    waits = operation.state in CANCELLABLE_STATES and not operation.is_immediate
    if not waits or now < operation.activate_at:
        return "" if is_complete else f"Activation {planned}."
    passed = f"The time of the activation, {planned}, has passed"
    if is_complete:
        return f"{passed}: the zone switches now, within seconds, unless something else holds it."
    if lacking.why_held(operation) is None:
        return f"{passed}."
    return (
        f"{passed}: the zone switches at once, within seconds, when the last certificate is here. "
        "If it is to switch later, postpone it before you import that one."
    )
