"""What the zone's ports say to its devices: counted by handshakes from each device's own trust."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zcc.drill.fleet import PLAIN, Conditions
from zcc.drill.zone import SERVERS, Failed, ThrowAwayZone
from zcc.ground import ports

SCRIPT = str(Path(__file__).with_name("handshakes.py"))
SATELLITE_PORT = 8443
SECONDS = 120

Place = tuple[str, int]


@dataclass(frozen=True)
class Handshake:
    """One handshake: of whom, where, what was refused (nothing: it succeeded), the leaf."""

    device: str
    place: Place
    refused: str
    leaf: str


@dataclass(frozen=True)
class Count:
    """All handshakes of one moment."""

    made: list[Handshake]

    @property
    def refused(self) -> list[Handshake]:
        return [one for one in self.made if one.refused]

    @property
    def lost(self) -> set[str]:
        """The devices that were refused everywhere."""
        return {one.device for one in self.refused} - {
            one.device for one in self.made if not one.refused
        }

    @property
    def partly(self) -> set[str]:
        """The devices that were refused at one place and not at another."""
        return {one.device for one in self.refused} - self.lost

    def accepted(self) -> set[str]:
        return {one.device for one in self.made if not one.refused}

    def reasons(self) -> str:
        """Return what was refused, each reason once, with one example."""
        first = {one.refused: f"{one.device} at {one.place[0]}:{one.place[1]}" for one in self.made}
        return "; ".join(f"{reason} ({who})" for reason, who in sorted(first.items()) if reason)


class Wire:
    """Makes the handshakes of the devices of a zone, under the conditions of each."""

    def __init__(self, zone: ThrowAwayZone) -> None:
        self.zone = zone
        self.conditions: dict[str, Conditions] = {}  # those that are not plain

    def trust(self, device: str) -> str:
        return (self.zone.device_home(device) / "trust.pem").read_text()

    def live_ports(self) -> list[Place]:
        """The ports on which servers show the certificate that is in force."""
        mine = [(name, port) for name in SERVERS for port in (ports.CONSOLE, ports.DEVICE_API)]
        mine.append(("auth1", SATELLITE_PORT))
        return [(self.zone.address(name), port) for name, port in mine]

    def canaries(self) -> list[Place]:
        return [(self.zone.address(name), ports.CANARY) for name in SERVERS]

    def count(self, devices: Iterable[str] | None = None) -> Count:
        """Let the devices, by default all, try every port with all that they trust."""
        names = self.zone.devices if devices is None else devices
        return self.shake({name: self.trust(name) for name in names}, self.live_ports())

    def shake(self, trusts: Mapping[str, str], places: list[Place]) -> Count:
        """Let each device of `trusts` try all places with what it is said to trust."""
        groups: dict[int, list[str]] = defaultdict(list)
        for name in trusts:
            groups[id(self.conditions.get(name, PLAIN))].append(name)
        made: list[Handshake] = []
        for names in groups.values():
            asked: list[list[object]] = [[name, trusts[name], places] for name in names]
            made += self._shake(asked, self.conditions.get(names[0], PLAIN))
        return Count(made)

    def _shake(self, asked: list[list[object]], conditions: Conditions) -> list[Handshake]:
        done = subprocess.run(
            conditions.command(SCRIPT),
            input=json.dumps(asked),
            env={**self.zone.environment, **conditions.environment},
            text=True,
            capture_output=True,
            timeout=SECONDS,
        )
        if done.returncode:
            raise Failed(f"The handshakes could not be made. {done.stderr}")
        return [
            Handshake(device, (address, port), refused, leaf)
            for device, address, port, refused, leaf in json.loads(done.stdout)
        ]
