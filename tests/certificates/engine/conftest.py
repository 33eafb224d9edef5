"""
A zone with real homes and no processes: what is due is done here, one message after the other.

`run` does what a tick would ring for, each on its own server, until nothing is due. Time is moved
by what `advance` is told; rows and files are the real ones.
"""

import os
from datetime import timedelta
from importlib import import_module
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from agent import satellite
from agent.home import Home
from certificates import api, due, installing, joining, taking_part
from certificates.actions import authorities, operations
from certificates.installing import InternalCA, SoleWorker
from certificates.joining import NewServer
from certificates.models import (
    CertificateAuthority,
    JoinRequest,
    Operation,
    ServerCertificate,
)
from devices.models import Device, Heartbeat, Kind
from pki import backup
from zcc.ground import claims, clock, here

SERVERS = ["ps1", "ps2", "ps3"]
NOWHERE = "127.99.0"  # nothing listens there


def new_server(number, network=NOWHERE):
    return NewServer(
        name=f"ps{number}", dns_name=f"ps{number}.test.zone", addresses=[f"{network}.{number}"]
    )


class Living:
    """The zone, and what a test does to it."""

    def __init__(self, servers=SERVERS, network=NOWHERE):
        now = clock.now()
        self.servers = servers
        first = new_server(1, network)
        ca = InternalCA(common_name="TEST-ZONE", key_type="ec-p256")
        self.zone = installing.set_up_zone("TEST-ZONE", first, ca, home=here.home("ps1"), now=now)
        for number in range(2, len(servers) + 1):
            self.join(new_server(number, network))
        self.alice = User.objects.create_user("alice")
        for name in servers:
            self.beat(name)
        self.add_workstation("ws1")
        self.run()
        os.environ[here.VARIABLE] = "ps1"

    def join(self, server, *, ca="ps1", now=None):
        now, ca_home, home = now or clock.now(), here.home(ca), here.home(server.name)
        token = joining.create_token(self.zone, home=ca_home, now=now)
        asked = joining.ask(token, server, home=home, now=now)
        request = claims.claim(JoinRequest.objects.filter(pk=asked.pk), now=now)
        joining.answer(request, home=ca_home, hold=SoleWorker(), now=now)
        joining.accept(JoinRequest.objects.get(pk=asked.pk), home=home)

    def add_workstation(self, name):
        return Device.objects.create(
            zone=self.zone,
            name=name,
            kind=Kind.WORKSTATION,
            trusted_fingerprints=[self.ca.sha256],
            dns_name=f"{name}.test.zone",
            enrolled_at=clock.now(),
        )

    def beat(self, name, *, ago=timedelta()):
        server = Device.objects.get(name=name)
        at = clock.now() - ago
        Heartbeat.objects.update_or_create(server=server, defaults={"at": at, "tick_at": at})

    def fall_silent(self, name):
        self.beat(name, ago=timedelta(minutes=5))

    def beat_on(self):
        """On a slow machine a test takes longer than a server that runs may be silent."""
        now = clock.now()
        alive = Heartbeat.objects.filter(at__gt=now - timedelta(minutes=4), at__lt=now)
        alive.update(at=now, tick_at=now)

    @property
    def ca(self):
        return CertificateAuthority.objects.get(zone=self.zone, state="active")

    def devices_have_refreshed(self):
        """All devices that report anything trust what is trusted now."""
        trusted = CertificateAuthority.objects.filter(zone=self.zone).trusted()
        devices = Device.objects.filter(zone=self.zone).exclude_primary_servers()
        devices.exclude(trusted_fingerprints=[]).update(
            trusted_fingerprints=sorted(ca.sha256 for ca in trusted)
        )

    def wishes(self, **changes):
        known = {
            "common_name": "TEST-ZONE",
            "key_type": "ec-p256",
            "years": 5,
            "include_additional_dns_names": True,
            "activate_at": clock.now() + timedelta(hours=2),
            "idempotency_key": uuid4(),
        }
        return authorities.RemintWishes(**(known | changes))

    def remint(self, **changes):
        self.devices_have_refreshed()
        return authorities.remint(self.ca, self.wishes(**changes), by=self.alice, now=clock.now())

    def run(self, *, at=None, only=None, turns=20):
        """Advance the live operations as of `at`, and do what is due, until nothing is."""
        for _ in range(turns):
            self.beat_on()
            moved = [
                operations.advance(operation, now=at or clock.now())
                for operation in Operation.objects.filter(zone=self.zone).live()
            ]
            rings = list(due.rings(self.zone, now=clock.now()))
            rings = [ring for ring in rings if only is None or ring.task.endswith(only)]
            if not rings and not any(moved):
                return
            for ring in rings:
                self.do(ring)

    def do(self, ring):
        os.environ[here.VARIABLE] = Device.objects.get(guid=ring.queue[7:]).name
        module, _, name = ring.task.rpartition(".")
        getattr(import_module(module), name)(**ring.ids)

    def replicate_now(self):
        """Let the next round of the schedule be now."""
        operation = Operation.objects.latest("pk")
        for name in self.servers:
            here.home(name).add_content(
                operation.update.content_sha256,
                here.home(operation.initiating_server.name).open_content(
                    operation.update.content_sha256
                ),
            )
        operation.update.replications.update(due_at=clock.now())

    def reach(self, state, **changes):
        """Take a fresh remint as far as `state`; return the operation."""
        operation = self.remint(**changes)
        self.run()
        if state != "replicating":
            self.replicate_now()
            self.run()
        if state in ("armed", "overlap", "completed"):
            self.run(at=operation.activate_at - timedelta(minutes=9))
        if state in ("overlap", "completed"):
            self.run(at=operation.activate_at)
        if state == "completed":
            authorities.retire_old_ca(
                Operation.objects.get(pk=operation.pk), by=self.alice, now=clock.now()
            )
            self.run()
        operation.refresh_from_db()
        assert operation.state == state
        return operation


# scrypt's N for backups in these tests; those in tests/pki hold the shipped one.
CHEAP_BACKUP = 2**10


@pytest.fixture
def living(db, settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path
    settings.SECRET_KEY_FILE = tmp_path / "secrets/secret_key"
    monkeypatch.setenv(here.VARIABLE, "ps1")
    monkeypatch.setattr(backup, "COST", CHEAP_BACKUP)
    return Living()


@pytest.fixture
def homes(living):
    return {name: here.home(name) for name in SERVERS}


class Satellite:
    """The part of an agent that deals with certificates; what it is told is what it goes by."""

    def __init__(self, living, path):
        self.living = living
        self.row = living.add_workstation("auth1")
        Device.objects.filter(pk=self.row.pk).update(
            is_authentication_satellite=True,
            addresses=["127.99.0.12"],
            version=Device.objects.get(name="ps1").version,
            last_contact_at=clock.now(),
        )
        taking_part.join_operation(Device.objects.get(pk=self.row.pk), now=clock.now())
        self.move_into(path)

    def move_into(self, path):
        """Begin with an empty home, as after the disk was replaced."""
        self.home, self.slots, self.said = Home(path), [], []
        self.home.make()

    def refresh(self, times=1):
        for _ in range(times):
            device = Device.objects.select_related("zone").get(pk=self.row.pk)
            report = {"certificates": satellite.report(self.home, self.slots)}
            api.record(device, report, now=clock.now())
            self.slots = api.certificates_for(device)
            satellite.follow(self.home, self.slots, log=self.said.append)
            self.living.run()

    def switch(self):
        """Go through a remint until it shows the certificate of that; return the operation."""
        operation = self.living.reach("assigned")
        self.refresh(4)
        self.living.run(at=operation.activate_at - timedelta(minutes=9))
        self.living.run(at=operation.activate_at)
        self.home.activate(str(operation.guid))
        self.refresh()
        return operation

    @property
    def certificates(self):
        rows = ServerCertificate.objects.filter(device=self.row).order_by("pk")
        return list(rows.values_list("state", "operation"))

    def shows_its_row(self):
        current = ServerCertificate.objects.current().get(device=self.row)
        return self.home.live().leaf_sha256 == current.sha256


@pytest.fixture
def make_satellite(living, tmp_path):
    return lambda: Satellite(living, tmp_path / "devices/auth1")
