"""One remint of a drill: begun and decided in the console, watched in the database."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cached_property

from zcc.drill.console import Console
from zcc.drill.zone import ThrowAwayZone

# Before the cut-off an operation can be cancelled for this long; the console asks for no less.
LEAST = timedelta(seconds=30)
MARGIN = timedelta(seconds=5)  # what a busy console may take to answer
TOO_CLOSE = timedelta(seconds=4)
EVERY_SERVER = {"ps1", "ps2", "ps3", "auth1"}


class Remint:
    """The operation that `begin` starts."""

    def __init__(self, zone: ThrowAwayZone, console: Console, *, cutoff: timedelta) -> None:
        self.zone, self.console, self.cutoff = zone, console, cutoff
        self.number = 0
        self.activate_at = self._soon()

    def begin(self, *, key_type: str, policy: str) -> None:
        self.activate_at = self._soon()
        self.console.remint(key_type=key_type, policy=policy, at=self.activate_at)
        self.number = self.zone.one("SELECT max(id) FROM certificates_operation")

    def _soon(self) -> datetime:
        return (datetime.now(UTC) + self.cutoff + LEAST + MARGIN).replace(microsecond=0)

    # Questions

    @property
    def state(self) -> str:
        return str(self._column("state"))

    @property
    def held_reason(self) -> str:
        return str(self._column("held_reason"))

    def _column(self, name: str) -> object:
        return self.zone.one(f"SELECT {name} FROM certificates_operation WHERE id = ?", self.number)

    @cached_property
    def new_ca(self) -> tuple[str, str]:
        """SHA-256 and PEM of the new CA."""
        ((sha256, der),) = self.zone.rows(
            "SELECT a.sha256, a.der FROM certificates_certificateauthority a"
            " JOIN certificates_operation o ON o.new_ca_id = a.id WHERE o.id = ?",
            self.number,
        )
        return sha256, ssl.DER_cert_to_PEM_cert(bytes(der))

    @cached_property
    def new_leaves(self) -> set[str]:
        query = "SELECT sha256 FROM certificates_servercertificate WHERE operation_id = ?"
        return {sha256 for (sha256,) in self.zone.rows(query, self.number)}

    def devices(self, condition: str) -> set[str]:
        """Return the devices whose row of the update is so."""
        found = self.zone.rows(
            "SELECT d.name FROM systemupdates_deviceupdate u"
            " JOIN devices_device d ON d.id = u.device_id"
            " JOIN certificates_operation o ON o.update_id = u.update_id"
            f" WHERE o.id = ? AND {condition}",
            self.number,
        )
        return {name for (name,) in found}

    def servers(self, column: str) -> set[str]:
        """Return the servers that have come as far as `column`, such as armed_at."""
        found = self.zone.rows(
            "SELECT d.name FROM certificates_serverprogress s"
            " JOIN devices_device d ON d.id = s.device_id"
            f" WHERE s.operation_id = ? AND s.{column} IS NOT NULL",
            self.number,
        )
        return {name for (name,) in found}

    # Waiting

    def wait_for_proofs(self, proven: set[str], failed: set[str], *, timeout: float) -> None:
        """Wait until the one have proven and the others have tried; postpone it if need be."""

        def all_have_tried() -> bool:
            if datetime.now(UTC) > self.activate_at - self.cutoff - TOO_CLOSE:
                self.activate_at = self._soon()
                self.console.postpone(self.number, to=self.activate_at)
            tried = self.devices("u.proof_problem <> ''")
            return self.devices("u.proof_leaf <> ''") == proven and tried >= failed

        self.zone.wait(all_have_tried, timeout, "every device that is awake to try a canary")

    def wait_for_state(self, *states: str, timeout: float) -> None:
        what = f"operation {self.number} to become {' or '.join(states)}"
        self.zone.wait(lambda: self.state in states, timeout, what, lambda: self.held_reason)

    def wait_for_servers(self, column: str, *, timeout: float) -> None:
        self.zone.wait(
            lambda: self.servers(column) == EVERY_SERVER, timeout, f"{column} of every server"
        )

    def wait_for_completed(self, devices: set[str], *, timeout: float) -> None:
        self.zone.wait(
            lambda: devices <= self.devices("u.state = 'completed'"),
            timeout,
            "the devices that are awake to complete the update",
        )
