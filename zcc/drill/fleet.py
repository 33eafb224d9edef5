"""The devices of a drill: who sleeps, who cannot prove the new CA, whose clock is wrong."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zcc.ground import ports

FEWEST = 4
CLOCK = "+6m"
WRAPPER = Path(__file__).with_name("behind_firewall.py")

# A device that accepts RSA signatures and no others, as its administrator has configured OpenSSL.
ONLY_RSA = """\
openssl_conf = settings
[settings]
ssl_conf = libssl
[libssl]
system_default = policy
[policy]
SignatureAlgorithms = RSA+SHA256:RSA-PSS+SHA256
"""


@dataclass(frozen=True)
class Conditions:
    """Under what conditions the programs of a device run: their environment, a closed port."""

    environment: Mapping[str, str] = field(default_factory=dict)
    closed_port: int = 0

    def command(self, program: str, *words: str) -> list[str]:
        """Return the command that runs a Python module, or a file, under these conditions."""
        if self.closed_port:
            return [sys.executable, "-P", str(WRAPPER), str(self.closed_port), program, *words]
        return [sys.executable, *(["-P"] if program.endswith(".py") else ["-m"]), program, *words]


PLAIN = Conditions()


@dataclass(frozen=True)
class Fleet:
    """Names of workstations, by what is the matter with them; the rest are all right."""

    asleep: tuple[str, ...]
    unproven: tuple[str, ...]
    wrong_clock: tuple[str, ...]
    well: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.asleep)} sleep through it, {len(self.unproven)} cannot prove the new CA, "
            f"the clock of {len(self.wrong_clock)} is 6 min fast"
        )

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.asleep, *self.unproven, *self.wrong_clock, *self.well)

    @property
    def awake(self) -> tuple[str, ...]:
        return (*self.unproven, *self.wrong_clock, *self.well)


def of(number: int) -> Fleet:
    """Return so many: a third asleep, a sixth without proof, a fifteenth with a wrong clock."""
    names = [f"osl-ws-{one:02}" for one in range(1, number + 1)]
    asleep, unproven, clocks = (max(1, round(number / share)) for share in (3, 6, 15))
    first, second = asleep + unproven, asleep + unproven + clocks
    return Fleet(
        tuple(names[:asleep]),
        tuple(names[asleep:first]),
        tuple(names[first:second]),
        tuple(names[second:]),
    )


def behind_firewall(policy: Path) -> Conditions:
    """The canaries cannot be reached, and only RSA signatures are accepted."""
    return Conditions({"OPENSSL_CONF": str(policy)}, ports.CANARY)


def only_rsa(policy: Path) -> Conditions:
    return Conditions({"OPENSSL_CONF": str(policy)})


def with_wrong_clock() -> Conditions | None:
    """The clock is six minutes fast; None where `faketime` is not installed."""
    if shutil.which("faketime") is None:
        return None
    words = ["faketime", "-f", CLOCK, "env"]
    printed = subprocess.run(words, text=True, capture_output=True, check=True).stdout
    wanted = dict(
        line.split("=", 1) for line in printed.splitlines() if line.startswith("LD_PRELOAD=")
    )
    # Only the time of day: what waits for seconds to pass must not be misled.
    return Conditions({**wanted, "FAKETIME": CLOCK, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})


def write_policy(folder: Path) -> Path:
    """Write the configuration of OpenSSL that accepts RSA signatures only; return the file."""
    path = folder / "only-rsa.cnf"
    path.touch(mode=0o600)
    path.write_text(ONLY_RSA)
    return path
