"""
A whole zone as real processes: that of a drill, with faults, and orders of an administrator.

It has a database of its own, also where the tests run on PostgreSQL. With JOURNEYS_KEEP=FOLDER the
homes, with all logs, are copied there.
"""

import json
import os
import signal
import socket
from contextlib import contextmanager

from tests.journeys import answers
from tests.journeys.database import Postgres, instant
from zcc.drill.zone import PASSWORD, SATELLITES, SERVERS, ThrowAwayZone

__all__ = ["PASSWORD", "SATELLITES", "SERVERS"]

# Short, so that a journey is. Each has a test for its shipped value elsewhere.
REPLICATION, REFRESH = 4, 3
CUTOFF = 15
PATIENCE = 3  # a machine may be as many times slower than that on which the waits were written
DEVICES = (*SATELLITES, "osl-ws-01", "osl-ws-02", "osl-ws-03")


class Refused(Exception):
    """The product refused an order; the text is what it said."""


class RunningZone(ThrowAwayZone):
    """The zone's processes and what can be asked about them."""

    def __init__(
        self, *, cutoff=CUTOFF, devices=DEVICES, apart=False, own_broker=False, **settings
    ):
        super().__init__(devices=devices, prefix="zcc-journey-")
        server_url = os.environ.get("DATABASE_URL", "")
        if server_url.startswith("postgres"):
            self.database = Postgres(server_url)
        self.apart = apart
        self.own_broker = own_broker or not os.environ.get("REDIS_URL")
        self.configure(ZCC_CANCEL_CUTOFF=cutoff, **answers.environment(self), **settings)

    def set_up(self):
        self.manage("migrate", "--verbosity", "0")
        self.manage("setup_demo", "--network", self.network)
        self.order("schedule", REPLICATION, REFRESH)

    def remove(self, keep=None):
        super().remove(keep or os.environ.get("JOURNEYS_KEEP"))

    def wait(self, condition, timeout, what, explain=lambda: ""):
        """Look until it is so. What never comes fails, not what comes late."""
        super().wait(condition, timeout * PATIENCE, what, explain)

    # Faults

    def pid(self, process, server=None):
        """Return the id of `worker`, `beat`, `console` ... of a server, or of `valkey`."""
        folder = self.home / "servers" / server / "run" if server else self.home / "run"
        return int((folder / f"{process}.pid").read_text())

    def kill9(self, process, server=None):
        """Kill a process as a crash would; return once it has been started again."""
        self.wait(lambda: self._is_back(process, server, None), 30, f"{process} to be there")
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

    def order(self, name, *words):
        """Do what an administrator does (see `orders`); raise Refused if the product refuses."""
        output = self.python("-m", "tests.journeys.orders", name, *map(str, words))
        answer = json.loads(output.splitlines()[-1])
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["done"]

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
        return self.order("remint", name, seconds, policy)
