"""
A whole zone as real processes: three Primary Servers, two Satellites, and workstations.

Every RunningZone has a temporary home, addresses of its own on 127.77.N.*, and a database of its
own. Whatever it started is found by its home in the environment of processes, so that one left
behind is found, too. With JOURNEYS_KEEP=FOLDER the homes, with all logs, are copied there.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.journeys.database import Postgres, Sqlite, instant

ROOT = Path(__file__).parents[2]
SERVERS = {"ps1": 1, "ps2": 2, "ps3": 3}
PASSWORD = "journeys-need-a-password"
# Short, so that a journey is. Each has a test for its shipped value elsewhere.
REPLICATION, REFRESH = 4, 3
CUTOFF = 15
DEVICES = ("cache1", "auth1", "osl-ws-01", "osl-ws-02", "osl-ws-03")


class Refused(Exception):
    """The product refused an order; the text is what it said."""


class RunningZone:
    """The zone's processes and what can be asked about them."""

    def __init__(
        self, *, cutoff=CUTOFF, devices=DEVICES, apart=False, own_broker=False, **settings
    ):
        self.home = Path(tempfile.mkdtemp(prefix="zcc-journey-"))
        self.network = free_network()
        server_url = os.environ.get("DATABASE_URL", "")
        is_postgres = server_url.startswith("postgres")
        self.database = Postgres(server_url) if is_postgres else Sqlite(self.home)
        self.devices = devices
        # One that is to be killed or emptied must not be a Redis that others use, too.
        self.own_broker = own_broker or not os.environ.get("REDIS_URL")
        self.agents = {}
        self.apart = apart  # each Primary Server under a supervisor of its own, as on three hosts
        self.supervisors = {}
        self.environment = self._environment(ZCC_CANCEL_CUTOFF=cutoff, **settings)

    def _environment(self, **settings):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ZCC_")}
        kept.pop("DATABASE_URL", None)
        kept.pop("DJANGO_SETTINGS_MODULE", None)
        if self.own_broker:
            kept.pop("REDIS_URL", None)
        if self.database.url:
            kept["DATABASE_URL"] = self.database.url
        prefix = f"journey-{self.home.name}:"
        mine = {"ZCC_HOME": self.home, "ZCC_ADMIN_PASSWORD": PASSWORD, "ZCC_BROKER_PREFIX": prefix}
        return kept | {name: str(value) for name, value in (mine | settings).items()}

    # Start and stop

    def set_up(self):
        self.manage("migrate", "--verbosity", "0")
        self.manage("setup_demo", "--network", self.network)
        self.order("schedule", REPLICATION, REFRESH)

    def start(self, timeout=40):
        """Start the Primary Servers and wait until all of them answer."""
        for name in SERVERS if self.apart else [""]:
            self.start_server(name)
        self.wait(self.is_up, timeout, "the Primary Servers to answer")

    def start_server(self, name, **environment):
        """Start the supervisor of one server, or of all if it has no name."""
        words = [sys.executable, "manage.py", "runzone", *(["--server", name] if name else [])]
        with (self.home / "runzone.log").open("a") as log:
            self.supervisors[name] = subprocess.Popen(
                words, cwd=ROOT, env=self.environment | environment, stdout=log, stderr=log
            )
        if self.own_broker:
            self.wait((self.home / "run" / "valkey.sock").exists, 20, "the broker")

    def stop_server(self, name, number=signal.SIGTERM):
        supervisor = self.supervisors.pop(name)
        supervisor.send_signal(number)
        supervisor.wait(60)

    def is_up(self):
        log = (self.home / "runzone.log").read_text()
        assert all(supervisor.poll() is None for supervisor in self.supervisors.values()), log
        try:
            for name in SERVERS:
                for port in (7443, 7444, 7480, 7481):
                    socket.create_connection((self.address(name), port), 1).close()
        except OSError:
            return False
        return self.one("SELECT count(*) FROM devices_heartbeat") == len(SERVERS)

    def start_agents(self, *names):
        """Start the agents of these devices, all by default; they enrol on their first start."""
        for name in names or self.devices:
            log = self.home / "logs" / f"{name}.agent.log"
            words = [sys.executable, "-m", "agent", "run", "--home", self.device_home(name)]
            with log.open("a") as output:
                self.agents[name] = subprocess.Popen(
                    words, cwd=ROOT, env=self.environment, stdout=output, stderr=output
                )

    def stop_agents(self, *names):
        for name in names or list(self.agents):
            self.agents[name].terminate()
        for name in names or list(self.agents):
            self.agents.pop(name).wait(15)

    def wait_for_agents(self, timeout=40):
        """Wait until every device is enrolled and every server has its certificate."""
        names = set(self.devices)
        self.wait(
            lambda: names <= {name for (name,) in self.rows("SELECT name FROM devices_device")},
            timeout,
            "all devices to enrol",
        )
        path = self.device_home("auth1") / "security" / "server.pem"
        if "auth1" in names:
            self.wait(path.exists, timeout, "auth1 to have a certificate")

    def stop(self, number=signal.SIGTERM):
        """Stop everything; return what is left behind after it, which is an error."""
        self.stop_agents()
        for name in reversed(list(self.supervisors)):
            self.stop_server(name, number)
        return self.processes()

    def remove(self):
        """Leave nothing on this machine, whatever went wrong."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (*self.supervisors.values(), *self.agents.values()):
            process.wait(10)
        if keep := os.environ.get("JOURNEYS_KEEP"):
            shutil.copytree(self.home, Path(keep) / self.home.name, ignore=_sockets)
        self.database.remove()
        shutil.rmtree(self.home, ignore_errors=True)

    def processes(self):
        """Return every process that has this zone's home in its environment, and its command."""
        needle = f"ZCC_HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
        found.pop(os.getpid(), None)
        return found

    # Faults

    def pid(self, process, server=None):
        """Return the id of `worker`, `beat`, `console` ... of a server, or of `valkey`."""
        folder = self.home / "servers" / server / "run" if server else self.home / "run"
        return int((folder / f"{process}.pid").read_text())

    def kill9(self, process, server=None):
        """Kill a process as a crash would; return once it has been started again."""
        pid = self.pid(process, server)
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self._is_back(process, server, pid), 30, f"{process} to be back")

    def _is_back(self, process, server, old):
        try:
            return self.pid(process, server) != old
        except (FileNotFoundError, ValueError):
            return False

    @contextmanager
    def frozen(self, *processes):
        """Stop processes, given as (process, server), in their tracks, and let them go on after."""
        pids = [self.pid(*which) for which in processes]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def empty_broker(self):
        """FLUSHALL: whatever was sent and not yet taken is lost."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.home / "run" / "valkey.sock"))
            client.sendall(b"FLUSHALL\r\n")
            assert client.recv(5) == b"+OK\r\n"

    # Questions and orders

    def manage(self, *words):
        self._python("manage.py", *words)

    def order(self, name, *words):
        """Do what an administrator does (see `orders`); raise Refused if the product refuses."""
        output = self._python("-m", "tests.journeys.orders", name, *map(str, words))
        answer = json.loads(output.splitlines()[-1])
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["done"]

    def _python(self, *words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, query, *values):
        return self.database.rows(query, *values)

    def one(self, query, *values):
        """Return the only value of the only row."""
        ((value,),) = self.rows(query, *values)
        return value

    def state(self, operation):
        return self.one("SELECT state FROM certificates_operation WHERE id = ?", operation)

    def wait_for_state(self, operation, *states, timeout):
        self.wait(
            lambda: self.state(operation) in states,
            timeout,
            f"operation {operation} to become {' or '.join(states)}",
            lambda: self.situation(operation),
        )

    def situation(self, operation):
        """Return what a person would look at when an operation does not go on."""
        return {
            "operation": self.rows(
                "SELECT state, held_reason, problem, activate_at FROM certificates_operation"
                " WHERE id = ?",
                operation,
            ),
            "servers": self.rows(
                "SELECT d.name, s.requested_at, s.staged_at, s.armed_at, s.activated_at,"
                " s.cleaned_at, s.problem, s.lease_until FROM certificates_serverprogress s"
                " JOIN devices_device d ON d.id = s.device_id WHERE s.operation_id = ?",
                operation,
            ),
            "devices": self.device_updates(operation),
            "content": self.replications(operation),
        }

    def device_updates(self, operation):
        """Return the update's state of each device, by name."""
        found = self.rows(
            "SELECT d.name, u.state FROM systemupdates_deviceupdate u"
            " JOIN devices_device d ON d.id = u.device_id"
            " JOIN certificates_operation o ON o.update_id = u.update_id WHERE o.id = ?",
            operation,
        )
        return dict(found)

    def replications(self, operation):
        """Return whether the content has arrived, by content server."""
        found = self.rows(
            "SELECT d.name, r.state FROM systemupdates_replication r"
            " JOIN devices_device d ON d.id = r.server_id"
            " JOIN certificates_operation o ON o.update_id = r.update_id WHERE o.id = ?",
            operation,
        )
        return dict(found)

    def steps(self, operation, column):
        """Return the servers that have come as far as `column`, such as staged_at."""
        found = self.rows(
            "SELECT d.name FROM certificates_serverprogress s"
            " JOIN devices_device d ON d.id = s.device_id"
            f" WHERE s.operation_id = ? AND s.{column} IS NOT NULL",
            operation,
        )
        return {name for (name,) in found}

    def activate_at(self, operation):
        query = "SELECT activate_at FROM certificates_operation WHERE id = ?"
        return instant(self.one(query, operation))

    def remint(self, seconds, name="DEMO-ZONE", policy="overlap"):
        """Start `Remint CA`, to be activated in so many seconds; return the operation's id."""
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        return self.order("remint", name, at.isoformat(), policy)

    def address(self, name):
        numbers = SERVERS | {"cache1": 11, "auth1": 12}
        return f"{self.network}.{numbers[name]}"

    def server_home(self, name):
        return self.home / "servers" / name

    def device_home(self, name):
        return self.home / "devices" / name

    def wait(self, condition, timeout, what, explain=lambda: ""):
        """Look again and again, ten times a second, until it is so."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout} s for {what}. {explain()}"
            time.sleep(0.1)

    def tracebacks(self):
        """Return what the processes complained of, by log file."""
        logs = {path.name: path.read_text() for path in (self.home / "logs").glob("*.log")}
        return {name: text for name, text in logs.items() if "Traceback" in text}


def free_network():
    """Return a network 127.77.N on which nobody listens; the number differs between processes."""
    for number in range(os.getpid(), os.getpid() + 200):
        network = f"127.77.{number % 250}"
        try:
            for port in (7443, 7444, 7480, 7481):
                socket.create_server((f"{network}.1", port)).close()
        except OSError:
            continue
        return network
    raise AssertionError("no free network in 127.77.0.0/16")


def _sockets(folder, names):
    return [name for name in names if (Path(folder) / name).is_socket()]
