"""
A throw-away zone as real processes: three Primary Servers, two Satellites, and workstations.

Each has a temporary home, addresses of its own on 127.77.N.*, and a database of its own. Whatever
it started is found by its home in the environment of processes, so that one left behind is found,
too. Nothing of it knows the zone that this machine may serve otherwise.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from zcc.drill.database import Sqlite
from zcc.drill.fleet import PLAIN, Conditions
from zcc.ground import ports

ROOT = settings.BASE_DIR
SERVERS = {"ps1": 1, "ps2": 2, "ps3": 3}
SATELLITES = {"cache1": 11, "auth1": 12}
ANSWERING = (ports.CONSOLE, ports.DEVICE_API, ports.SETUP, ports.CONTENT)
PASSWORD = "a-zone-that-is-thrown-away"


class Failed(Exception):
    """The throw-away zone does not do what it is told. The text says what, and what was seen."""


class ThrowAwayZone:
    """The zone's processes and what can be asked about them."""

    # Each Primary Server under a supervisor of its own, as on three hosts.
    apart = False
    # One that is to be killed or emptied must not be a Redis that others use, too.
    own_broker = True

    def __init__(self, *, devices: tuple[str, ...], prefix: str = "zcc-drill-") -> None:
        self.home = Path(tempfile.mkdtemp(prefix=prefix))
        self.network = free_network()
        self.database: Any = Sqlite(self.home)
        self.devices = devices
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.supervisors: dict[str, subprocess.Popen[bytes]] = {}
        self.environment: dict[str, str] = {}

    def configure(self, **wanted: object) -> None:
        """Say what the environment of all its processes is, beside what it inherits."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ZCC_")}
        for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE"):
            kept.pop(name, None)
        if self.own_broker:
            kept.pop("REDIS_URL", None)
        if self.database.url:
            kept["DATABASE_URL"] = self.database.url
        mine: dict[str, object] = {
            "ZCC_HOME": self.home,
            "ZCC_ADMIN_PASSWORD": PASSWORD,
            "ZCC_BROKER_PREFIX": f"{self.home.name}:",
        }
        self.environment = kept | {name: str(value) for name, value in (mine | wanted).items()}

    # Start and stop

    def start(self, timeout: float = 40) -> None:
        """Start the Primary Servers and wait until all of them answer."""
        for name in SERVERS if self.apart else [""]:
            self.start_server(name)
        self.wait(self.is_up, timeout, "the Primary Servers to answer")

    def start_server(self, name: str, **environment: str) -> None:
        """Start the supervisor of one server, or of all if it has no name."""
        words = [sys.executable, "manage.py", "runzone", *(["--server", name] if name else [])]
        self.supervisors[name] = self._run_apart(words, "runzone.log", environment)
        if self.own_broker:
            self.wait((self.home / "run" / "valkey.sock").exists, 20, "the broker")

    def stop_server(self, name: str, number: int = signal.SIGTERM) -> None:
        supervisor = self.supervisors.pop(name)
        supervisor.send_signal(number)
        supervisor.wait(60)

    def is_up(self) -> bool:
        if any(supervisor.poll() is not None for supervisor in self.supervisors.values()):
            raise Failed(f"A supervisor has ended: {(self.home / 'runzone.log').read_text()}")
        try:
            for name in SERVERS:
                for port in ANSWERING:
                    socket.create_connection((self.address(name), port), 1).close()
        except OSError:
            return False
        return bool(self.one("SELECT count(*) FROM devices_heartbeat") == len(SERVERS))

    def start_agents(self, *names: str, conditions: Conditions = PLAIN) -> None:
        """Start the agents of these devices, all by default; they enrol on their first start."""
        for name in names or self.devices:
            home = self.device_home(name)
            kind = ["mobile"] if (home / "mobile.json").exists() else []
            words = conditions.command("agent", *kind, "run", "--home", str(home))
            log = f"logs/{name}.agent.log"
            self.agents[name] = self._run_apart(words, log, conditions.environment)

    def stop_agents(self, *names: str) -> None:
        for name in names or list(self.agents):
            self.agents[name].terminate()
        for name in names or list(self.agents):
            self.agents.pop(name).wait(15)

    def wait_for_agents(self, timeout: float = 40) -> None:
        """Wait until every device is enrolled and every server has its certificate."""
        query, names = "SELECT name FROM devices_device", set(self.devices)
        self.wait(
            lambda: names <= {name for (name,) in self.rows(query)}, timeout, "devices to enrol"
        )
        path = self.device_home("auth1") / "security" / "server.pem"
        if "auth1" in names:
            self.wait(path.exists, timeout, "auth1 to have a certificate")

    def stop(self, number: int = signal.SIGTERM) -> dict[int, bytes]:
        """Stop everything; return what is left behind after it, which is an error."""
        self.stop_agents()
        for name in reversed(list(self.supervisors)):
            self.stop_server(name, number)
        return self.processes()

    def remove(self, keep: str | None = None) -> None:
        """Leave nothing on this machine, whatever went wrong; `keep`: a folder for a copy."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (*self.supervisors.values(), *self.agents.values()):
            process.wait(10)
        if keep:
            shutil.copytree(self.home, Path(keep) / self.home.name, ignore=_sockets)
        self.database.remove()
        shutil.rmtree(self.home, ignore_errors=True)

    def processes(self) -> dict[int, bytes]:
        """Return every process that has this zone's home in its environment, and its command."""
        needle = f"ZCC_HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
        found.pop(os.getpid(), None)
        return found

    # Questions

    def manage(self, *words: str) -> None:
        self.python("manage.py", *words)

    def python(self, *words: str) -> str:
        """Run Python in the zone's environment and return what it prints."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=120,
        )
        if done.returncode:
            raise Failed(done.stderr)
        return done.stdout

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.database.rows(query, *values)
        return found

    def one(self, query: str, *values: Any) -> Any:
        """Return the only value of the only row."""
        ((value,),) = self.rows(query, *values)
        return value

    def address(self, name: str) -> str:
        return f"{self.network}.{(SERVERS | SATELLITES)[name]}"

    def server_home(self, name: str) -> Path:
        return self.home / "servers" / name

    def device_home(self, name: str) -> Path:
        return self.home / "devices" / name

    def wait(
        self,
        condition: Callable[[], Any],
        timeout: float,
        what: str,
        explain: Callable[[], Any] = lambda: "",
    ) -> None:
        """Look again and again, ten times a second, until it is so. Raises Failed."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(f"Waited {timeout:.0f} s for {what}. {explain()}")
            time.sleep(0.1)

    def tracebacks(self) -> dict[str, str]:
        """Return what the processes complained of, by log file."""
        logs = {path.name: path.read_text() for path in (self.home / "logs").glob("*.log")}
        return {name: text for name, text in logs.items() if "Traceback" in text}

    def _run_apart(
        self, words: list[str], log: str, environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        with (self.home / log).open("a") as output:
            return subprocess.Popen(
                words,
                cwd=ROOT,
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
            )


def free_network() -> str:
    """Return a network 127.77.N on which nobody listens; the number differs between processes."""
    for number in range(os.getpid(), os.getpid() + 200):
        network = f"127.77.{number % 250}"
        try:
            for port in ANSWERING:
                socket.create_server((f"{network}.1", port)).close()
        except OSError:
            continue
        return network
    raise Failed("There is no free network in 127.77.0.0/16.")


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
