"""`manage.py setup_demo`: the zone that `make run` shows to a newcomer, on 127.0.0.1 and up."""

import json
import os
import secrets as random
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from agent.home import Home
from certificates import installing, joining, setup_page
from certificates.installing import InternalCA, SoleWorker
from certificates.joining import NewServer
from certificates.models import CertificateAuthority, JoinRequest
from devices import actions as devices
from devices import mobiles
from devices.models import Zone
from zcc.ground import claims, clock, here, secrets
from zcc.ground.ports import device_url

ZONE = "DEMO-ZONE"
ADMIN = "admin"
# Short, so that a newcomer sees things move; a real zone has one hour and twelve.
SCHEDULES = {
    "replication_interval": timedelta(seconds=20),
    "refresh_interval": timedelta(seconds=10),
}
LINK_LIFETIME = timedelta(days=365)
NETWORK = "127.0.0"
SERVERS = {"ps1": 1, "ps2": 2, "ps3": 3}
SATELLITES = {"cache1": (11, "content"), "auth1": (12, "authentication")}
WORKSTATIONS = 6
# Simulated mobiles, and at which stage of an update each is away once, and for how many seconds.
MOBILES: dict[str, tuple[str, float] | None] = {
    "phone1": None,
    "phone2": ("assigned", 900.0),
    "phone3": ("pending", 900.0),
    "tablet1": None,
}


class Command(BaseCommand):
    help = "Set up the demo zone: servers, Satellites, managed devices, mobiles."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--network", default=NETWORK, help=f"default: {NETWORK}")
        parser.add_argument("--workstations", type=int, default=WORKSTATIONS, metavar="NUMBER")
        for name, interval in SCHEDULES.items():
            option, seconds = f"--{name.replace('_', '-')}", interval.total_seconds()
            parser.add_argument(option, type=float, default=seconds, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        if Zone.objects.exists():
            self.stdout.write("The demo zone is set up already.")
            return
        now = clock.now()
        network = options["network"]
        first, *others = servers(network)
        secrets.make(settings.SECRET_KEY_FILE)
        home = here.home(first.name)
        zone = installing.set_up_zone(
            ZONE,
            first,
            InternalCA(common_name=ZONE),
            home=home,
            now=now,
            settings={name: timedelta(seconds=options[name]) for name in SCHEDULES},
        )
        for server in others:
            join(zone, server, ca_home=home, now=now)
        prepare_devices(zone, network, options["workstations"], now=now)
        prepare_mobiles(zone, network, fingerprint=zone_ca(zone).sha256, now=now)
        given = os.environ.get("ZCC_ADMIN_PASSWORD")
        password = given or random.token_urlsafe(12)
        installing.make_administrator(ADMIN, password)
        shown = None if given else password
        installing.write_welcome(zone, first, admin=ADMIN, password=shown)


def servers(network: str) -> list[NewServer]:
    """Return the Primary Servers of the demo, each on an address of its own."""
    return [
        NewServer(name=name, dns_name=f"{name}.demo.zone", addresses=[f"{network}.{number}"])
        for name, number in SERVERS.items()
    ]


def join(zone: Zone, server: NewServer, *, ca_home: Home, now: datetime) -> None:
    """Let a server join as add_primary_server does, with this process answering for the CA."""
    token = joining.create_token(zone, home=ca_home, now=now)
    home = here.home(server.name)
    asked = joining.ask(token, server, home=home, now=now)
    request = claims.claim(JoinRequest.objects.filter(pk=asked.pk), now=now)
    assert request is not None  # nobody else is here yet
    joining.answer(request, home=ca_home, hold=SoleWorker(), now=now)
    answered = JoinRequest.objects.select_related("token__zone", "device").get(pk=asked.pk)
    joining.accept(answered, home=home)
    assert answered.device is not None  # it has just been answered
    setup_page.write(answered.device, home=home)


def prepare_devices(zone: Zone, network: str, workstations: int, *, now: datetime) -> None:
    """Leave in each device's home what its agent needs to enrol when it starts."""
    key = devices.create_registration_key(zone, name="demo", now=now)
    active = zone_ca(zone)
    common = {
        "servers": [device_url(server.addresses[0]) for server in servers(network)],
        "key": key,
        "fingerprint": active.sha256,
    }
    for name, (number, role) in SATELLITES.items():
        place = {"address": f"{network}.{number}", "roles": [role], "kind": "server"}
        _write_enrolment(name, {**common, **place})
    for number in range(1, workstations + 1):
        place = {"address": f"{network}.{20 + number}", "roles": [], "kind": "workstation"}
        _write_enrolment(f"osl-ws-{number:02}", {**common, **place})


def zone_ca(zone: Zone) -> CertificateAuthority:
    """Return the CA of a zone that has had no other."""
    return CertificateAuthority.objects.get(zone=zone)


def prepare_mobiles(zone: Zone, network: str, *, fingerprint: str, now: datetime) -> None:
    """Leave a link in each mobile's folder, and when it is to be away."""
    server = device_url(f"{network}.{SERVERS['ps1']}")
    for name, away in MOBILES.items():
        secret = mobiles.make_link(
            zone, name, folder=mobiles.FOLDER, lifetime=LINK_LIFETIME, by=None, now=now
        )
        facts: dict[str, object] = {"link": mobiles.address(server, secret, [fingerprint])}
        if away is not None:
            facts["away"] = {"stage": away[0], "seconds": away[1]}
        _write(name, "mobile.json", facts)


def _write_enrolment(name: str, facts: dict[str, object]) -> None:
    _write(name, "enrol.json", {"name": name, "dns_name": f"{name}.demo.zone", **facts})


def _write(name: str, file: str, facts: dict[str, object]) -> None:
    folder = here.zcc_home() / "devices" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / file
    path.touch(mode=0o600)
    path.write_text(json.dumps(facts, indent=2))
