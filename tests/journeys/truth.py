"""
A watch over a running zone: what its pages, database, files and ports said, one after the other.

It reads every page that shows a status as an administrator does, and between any two pages the
database. So whatever a page shows has stood in the database just before it or just after, and what
the database says of a device is in that device's files a moment later: nothing is measured for
that. How soon a page says it, is told apart from how long the machine kept everybody waiting by the
kernel's account of that (see Waited). `truth_verdict` compares.
"""

import hashlib
import json
import socket
import ssl
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from agent import pem
from systemupdates.models import device_update, replication
from tests.journeys import truth_pages
from tests.journeys.certificates import authorities
from tests.journeys.database import instant
from tests.journeys.truth_pages import ZONE
from tests.journeys.zone import SERVERS
from zcc.drill.console import Console

UPDATE_LABELS = {str(value): str(label) for value, label in device_update.State.choices}
CONTENT_LABELS = {str(value): str(label) for value, label in replication.State.choices}
PORTS = {**dict.fromkeys(SERVERS, (7443, 7444)), "auth1": (8443,)}
COUNTED = ("assigned", "download", "update", "pending")
AT_ONCE = 3  # devices whose own pages are read in one round
PRESSURE = [Path("/proc/pressure/cpu"), Path("/proc/pressure/io")]
NOTED_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Sample:
    """What one look has found: at which page, or in the database, in files, at the ports."""

    source: str
    where: str
    began: float
    ended: float
    facts: dict = field(hash=False)


class Followed(NamedTuple):
    """A system update: its number in addresses, its GUID in logs, and its operation."""

    number: int
    guid: str
    operation: int


class Waited:
    """For how long, up to any moment, somebody on this machine waited for a processor or a disk."""

    def __init__(self):
        self.times, self.totals, self._told = [], [], 0.0

    def note(self):
        """Write down the kernel's account, in microseconds; or how long the machine stood still."""
        files = [path.read_text() for path in PRESSURE if path.exists()]
        told = sum(int(text.split("total=")[1].split()[0]) for text in files) / 1e6
        now, before = time.time(), self.times[-1] if self.times else None
        # The kernel knows nothing of the time in which a hypervisor gave it no processor.
        overslept = now - before - NOTED_EVERY if before else 0.0
        self.totals.append((self.totals[-1] if before else 0.0) + max(told - self._told, overslept))
        self.times.append(now)
        self._told = told

    def between(self, began, ended):
        """Return at most how many of these seconds were waited."""
        first = max(bisect_right(self.times, began) - 1, 0)
        last = min(bisect_right(self.times, ended), len(self.times) - 1)
        return self.totals[last] - self.totals[first]


class Watch(threading.Thread):
    """Looks until it is stopped; `samples` are in the order in which they were taken."""

    def __init__(self, zone):
        super().__init__(daemon=True)
        self.zone, self.samples, self.failures = zone, [], []
        self.waited = Waited() if PRESSURE[0].exists() else None
        self.update = None  # the system update that is watched
        self.console = Console(f"https://{zone.address('ps1')}:7443", self._trust)
        self._over, self._turn = threading.Event(), 0

    def run(self):
        self.console.sign_in()
        if self.waited:
            threading.Thread(target=self._note_waits, daemon=True).start()
        while not self._over.is_set():
            try:
                self._round()
            except Exception as error:  # it is a finding; the others are to be made all the same
                self.failures.append(f"{type(error).__name__}: {error}")

    def stop(self):
        self._over.set()
        self.join(60)

    def follow(self, operation):
        """Watch the system update of this operation from now on."""
        query = (
            "SELECT u.id, u.guid FROM systemupdates_systemupdate u"
            " JOIN certificates_operation o ON o.update_id = u.id WHERE o.id = ?"
        )
        ((number, guid),) = self.zone.rows(query, operation)
        self.update = Followed(number, str(UUID(str(guid))), operation)

    def rest(self):
        """Let a whole round pass: what has been is seen by then."""
        turn = self._turn
        self.zone.wait(lambda: self._turn >= turn + 2, 90, "the watch to look at everything")

    def _trust(self):
        return "".join(authorities(self.zone).values())

    def _note_waits(self):
        while not self._over.wait(NOTED_EVERY):
            self.waited.note()

    def _round(self):
        self._look("files", "homes", self._files)
        self._look("wire", "ports", self._wire)
        self._look("database", "rows", self._database)
        for where, path, read in self._pages():
            self._look("page", where, lambda path=path, read=read: read(self.console.get(path)))
            self._look("database", "rows", self._database)
        self._turn += 1

    def _look(self, source, where, look):
        began = time.time()
        facts = look()
        self.samples.append(Sample(source, where, began, time.time(), facts))

    # Pages

    def _pages(self):
        """Yield each page of this round: its name, its path, and what reads its facts."""
        yield "Devices", "/devices/", truth_pages.devices
        yield "Certificates", "/certificates/", truth_pages.server_certificates
        if self.update:
            yield from self._pages_of_update(self.update)
        names = sorted(self._numbers())
        for place in range(AT_ONCE):
            name = names[(self._turn * AT_ONCE + place) % len(names)]
            yield from self._pages_of_device(name, self._numbers()[name])

    def _pages_of_update(self, update):
        pages, pk, sha256 = truth_pages, update.number, self._sha256()
        path, operation = f"/system-updates/{pk}", f"/certificates/operations/{update.operation}/"
        yield "Status by Device", f"{path}/devices/", lambda p: pages.status_by_device(p, pk)
        yield "System Updates", "/system-updates/", lambda p: pages.system_updates(p, pk)
        yield "replication status", f"{path}/replication/", lambda p: pages.replication(p, pk)
        items = "/system-updates/content/"
        yield "Content replication", items, lambda p: pages.content(p, pk, sha256)
        yield "the operation", operation, lambda p: pages.operation(p, pk)

    def _pages_of_device(self, name, number):
        pages, update = truth_pages, self.update
        yield "Summary", f"/devices/{number}/", lambda p: pages.summary(p, name)
        own = f"/certificates/device/{number}/"
        yield "tab Certificates", own, lambda p: pages.certificates_of_device(p, name)
        if update:
            updates = f"/devices/{number}/updates/"
            yield "tab Updates", updates, lambda p: pages.updates_of_device(p, name, update.number)

    def _numbers(self):
        return dict(self.zone.rows("SELECT name, id FROM devices_device"))

    # Database

    def _database(self):
        facts = {}
        query = "SELECT name, trusted_fingerprints, last_contact_at FROM devices_device"
        for name, trusted, contact in self.zone.rows(query):
            anchors = json.loads(trusted) if isinstance(trusted, str) else trusted
            facts["anchors", name], facts["trusts", name] = frozenset(anchors), len(anchors)
            facts["contact", name] = contact and instant(contact).replace(microsecond=0)
            facts["newest", name] = "No update"
        return {**facts, **self._rows_of_updates(), **self._rows_of_certificates()}

    def _rows_of_updates(self):
        facts, states = {}, {}
        for name, update, state, update_state, proven, problem in self.zone.rows(
            "SELECT d.name, u.id, r.state, u.state, r.proven_at, r.proof_problem"
            " FROM systemupdates_deviceupdate r JOIN devices_device d ON d.id = r.device_id"
            " JOIN systemupdates_systemupdate u ON u.id = r.update_id ORDER BY u.id"
        ):
            facts["update", name, update] = UPDATE_LABELS[state]
            facts["proven", name, update] = bool(proven) and not problem
            states.setdefault(update, []).append(state)
            if update_state == "assigned":
                facts["newest", name] = UPDATE_LABELS[state]
        for update, found in states.items():
            done, failed = found.count("completed"), found.count("failed")
            pending = sum(found.count(state) for state in COUNTED)
            facts["counts", ZONE, update] = (pending, done, failed)
            facts["completed", ZONE, update] = done
        for server, update, state in self.zone.rows(
            "SELECT d.name, r.update_id, r.state FROM systemupdates_replication r"
            " JOIN devices_device d ON d.id = r.server_id"
        ):
            facts["content", server, update] = CONTENT_LABELS[state]
        return facts

    def _rows_of_certificates(self):
        facts = {}
        for name, state, sha256, details in self.zone.rows(
            "SELECT d.name, s.state, s.sha256, s.facts FROM certificates_servercertificate s"
            " JOIN devices_device d ON d.id = s.device_id"
            " WHERE s.state IN ('current', 'future', 'requested')"
        ):
            if state == "current":
                facts["current", name] = sha256
            elif sha256:
                details = json.loads(details) if isinstance(details, str) else details
                facts["future", name] = details["sha1"]
        for name, sha256 in self.zone.rows(
            "SELECT d.name, i.sha256 FROM certificates_mobileidentity i"
            " JOIN devices_device d ON d.id = i.device_id WHERE i.state = 'current'"
        ):
            facts["identity", name] = sha256
        return facts

    # Files and ports

    def _files(self):
        facts = {}
        for name in self.zone.devices:
            home = self.zone.device_home(name)
            facts |= self._content(name, home)
            facts["anchors", name] = _fingerprints([home / "trust.pem"])
            facts |= self._progress(name, home / "state.json")
            facts |= _leaf("identity", name, home / "identity/identity.pem")
            facts |= _leaf("current", name, home / "security/server.pem")
        for name in SERVERS:
            home = self.zone.server_home(name)
            facts |= self._content(name, home)
            facts["anchors", name] = _fingerprints(
                (home / "security/trust-store").glob("zone-ca-*.pem")
            )
            facts |= _leaf("current", name, home / "security/server.pem")
        return facts

    def _progress(self, name, path):
        """How far the device itself remembers to have come with the update that is watched."""
        if not self.update:
            return {}
        progress = json.loads(path.read_text())["progress"] if path.exists() else None
        is_ours = progress is not None and progress["update"] == self.update.guid
        label = UPDATE_LABELS[progress["state"]] if is_ours else None
        return {("update", name, self.update.number): label}

    def _content(self, name, home):
        """Whether the content of the update that is watched lies in this home."""
        if not self.update or not self._sha256():
            return {}
        return {
            ("content", name, self.update.number): (home / "content-repo" / self._sha256()).exists()
        }

    def _sha256(self):
        query = "SELECT content_sha256 FROM systemupdates_systemupdate WHERE id = ?"
        return self.zone.one(query, self.update.number)

    def _wire(self):
        return {
            ("port", name, port): shown(self.zone.address(name), port)
            for name, ports in PORTS.items()
            for port in ports
        }


def shown(address, port):
    """Return the SHA-256 of the leaf that a port sends, None if nothing answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), 10) as plain,
            context.wrap_socket(plain, server_hostname=address) as tls,
        ):
            return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
    except OSError:
        return None


def _fingerprints(paths):
    found = [path.read_bytes() for path in paths if path.exists()]
    return frozenset(pem.fingerprint(one) for text in found for one in pem.split(text))


def _leaf(kind, name, path):
    return {(kind, name): pem.fingerprint(path.read_bytes())} if path.exists() else {}


def log_lines(path):
    """Return the lines of an agent's log that begin with a time, with the end of that second."""
    lines = []
    for line in path.read_text().splitlines():
        stamp, _, text = line.partition(" ")
        try:
            at = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            continue
        lines.append((at.timestamp() + 1, text))
    return lines
