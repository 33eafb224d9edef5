"""
The drill: a remint in Overlap, which loses nobody, then one in Strict, which loses who was named.

Who is lost is counted on the wire, at every phase, and compared with what the console says.
"""

from collections.abc import Callable
from datetime import timedelta

from agent import trust
from zcc.drill import fleet as fleets
from zcc.drill.console import Console
from zcc.drill.fleet import PLAIN, Conditions, Fleet
from zcc.drill.operation import Remint
from zcc.drill.report import Report, named
from zcc.drill.wire import SATELLITE_PORT, Count, Wire
from zcc.drill.zone import SATELLITES, SERVERS, ThrowAwayZone
from zcc.ground import ports

REASON = "A drill: they sleep, or refuse the new key, on purpose."
REPLICATION = 4.0  # seconds
LONG = 240.0  # seconds until something that takes a minute has failed


class Drill:
    """Sets a throw-away zone up, plays both remints in it, and tells the report."""

    def __init__(self, zone: ThrowAwayZone, fleet: Fleet, report: Report) -> None:
        self.zone, self.fleet, self.report = zone, fleet, report
        # More devices take longer to be counted, and must not keep two cores busy by refreshing.
        self.cutoff = timedelta(seconds=15 + len(fleet.all) / 5)
        self.refresh = 3 + len(fleet.all) / 15
        self.wire = Wire(zone)
        url = ports.console_url(zone.address("ps1"))
        self.console = Console(url, lambda: self.wire.trust(fleet.well[0]))
        self.satellites = set(SATELLITES)

    def run(self) -> None:
        self.set_up()
        self.overlap()
        self.strict()
        for name in self.zone.tracebacks():
            self.report.fail(f"{name} has a traceback.")

    # The zone

    def set_up(self) -> None:
        """Start servers and agents; when all have enrolled the first ones fall asleep."""
        zone, fleet = self.zone, self.fleet
        zone.configure(ZCC_CANCEL_CUTOFF=self.cutoff.total_seconds(), ZCC_TIME_ZONE="UTC")
        zone.manage("migrate", "--verbosity", "0")
        wanted = {
            "--network": zone.network,
            "--workstations": len(fleet.all),
            "--replication-interval": REPLICATION,
            "--refresh-interval": self.refresh,
        }
        zone.manage("setup_demo", *(str(word) for pair in wanted.items() for word in pair))
        zone.start(timeout=90)
        self._start_agents()
        query = "SELECT name FROM devices_device WHERE trusted_fingerprints <> '[]'"
        zone.wait(
            lambda: {name for (name,) in zone.rows(query)} >= set(zone.devices),
            LONG,
            "every device to enrol and refresh",
        )
        zone.wait_for_agents(LONG)
        zone.stop_agents(*fleet.asleep)
        self.console.sign_in()

    def _start_agents(self) -> None:
        policy = fleets.write_policy(self.zone.home)
        self._conditions(self.fleet.unproven, fleets.behind_firewall(policy))
        clock = fleets.with_wrong_clock()
        if clock is None:
            self.report.note("faketime is not installed, so every clock is right.")
        else:
            self._conditions(self.fleet.wrong_clock, clock)
        for name in self.zone.devices:
            self.zone.start_agents(name, conditions=self.wire.conditions.get(name, PLAIN))

    def _conditions(self, names: tuple[str, ...], conditions: Conditions) -> None:
        self.wire.conditions.update(dict.fromkeys(names, conditions))

    def _open_firewall(self) -> None:
        """The canaries can be reached; what those devices accept stays what it was."""
        names, policy = self.fleet.unproven, fleets.write_policy(self.zone.home)
        self.zone.stop_agents(*names)
        self._conditions(names, fleets.only_rsa(policy))
        self.zone.start_agents(*names, conditions=self.wire.conditions[names[0]])

    # The two remints

    def overlap(self) -> None:
        """Ten sleep, five reach no canary, and the link carries them all: nobody is lost."""
        self.report.begin("Remint in Overlap, to RSA 2048")
        self.report.count("before", self.wire.count())
        remint = self._begin("rsa-2048", "overlap")
        self._look("assigned", remint, would_be_lost=0)
        self._until_armed(remint)
        self._look("armed", remint, would_be_lost=0)
        self._through_the_switch(remint, "overlap", may_be_refused=set())
        remint.wait_for_servers("activated_at", timeout=60)
        count = self.wire.count()
        self.report.count("overlap", count)
        self.report.compare(
            "servers with new certificates",
            self.console.numbers().switched,
            self._switched(count, remint),
        )
        awake = {*self.fleet.awake, *self.satellites}
        remint.wait_for_completed(awake, timeout=LONG)
        self.report.count("caught up", self.wire.count())
        self._compare_completed(remint)
        self._compare_trust(remint)

    def strict(self) -> None:
        """The same sleep, five refuse the new key; they are named, signed off, and lost."""
        self.report.begin("Remint in Strict, to EC P-256")
        self._open_firewall()
        named_before = {*self.fleet.asleep, *self.fleet.unproven}
        self.report.count("before", self.wire.count())
        remint = self._begin("ec-p256", "strict")
        self._look("assigned", remint, would_be_lost=None)
        signed = self._sign_off(remint, named_before)
        self._until_armed(remint)
        self._look("armed", remint, would_be_lost=len(self._refused_by_canaries()))
        self._through_the_switch(remint, "completed", may_be_refused=signed)
        self._until_only_the_new_ca_is_trusted(remint)
        count = self.wire.count()
        self.report.count("strict", count, lost=signed)
        self._compare_completed(remint)
        self.zone.start_agents(*self.fleet.asleep)
        self._until_refused(self.fleet.asleep)
        self.report.count("all awake", self.wire.count(), lost=signed)

    # Their steps

    def _begin(self, key_type: str, policy: str) -> Remint:
        remint = Remint(self.zone, self.console, cutoff=self.cutoff)
        remint.begin(key_type=key_type, policy=policy)
        unproven = set(self.fleet.unproven)
        proven = {*self.fleet.awake, *self.satellites} - unproven
        remint.wait_for_proofs(proven, unproven, timeout=LONG)
        return remint

    def _look(self, phase: str, remint: Remint, *, would_be_lost: int | None) -> None:
        """Count before the switch, and compare the page's numbers; None: it must not say it yet."""
        self.report.count(phase, self.wire.count())
        numbers, (_, new) = self.console.numbers(), remint.new_ca
        holding = self._holding(remint)
        by_new_alone = self.wire.shake(dict.fromkeys(holding, new), self.wire.canaries())
        self.report.compare("trust the new CA", numbers.holding, len(SERVERS) + len(holding))
        self.report.compare("proven", numbers.proven, len(by_new_alone.accepted()))
        self.report.compare("devices of the update", numbers.counted, self._everybody())
        if would_be_lost is not None:
            self.report.compare("would be lost", numbers.lost or 0, would_be_lost)

    def _sign_off(self, remint: Remint, expected: set[str]) -> set[str]:
        """Wait until the guard holds; sign off exactly the devices that the dialog names."""
        what = "the guard to hold the operation"
        self.zone.wait(lambda: remint.held_reason, LONG, what, lambda: remint.state)
        self.report.note(f"{'held':14}{remint.held_reason}")
        refused = self._refused_by_canaries()
        self.report.compare("would be lost", self.console.numbers().lost, len(refused))
        listed = self.console.would_be_lost(remint.number)
        if not set(listed) == refused == expected:
            self.report.fail(
                f"The guard names {named(listed)}; the canaries refuse {named(refused)};"
                f" meant were {named(expected)}."
            )
        self.console.sign_off(remint.number, listed, reason=REASON)
        self.report.note(f"{'signed off':14}{named(listed)}")
        return set(listed)

    def _refused_by_canaries(self) -> set[str]:
        """The devices that verify no future certificate with all that they trust."""
        trusts = {name: self.wire.trust(name) for name in self.zone.devices}
        return self.wire.shake(trusts, self.wire.canaries()).lost

    def _until_armed(self, remint: Remint) -> None:
        remint.wait_for_state("armed", timeout=LONG)
        remint.wait_for_servers("armed_at", timeout=self.cutoff.total_seconds())

    def _through_the_switch(self, remint: Remint, end: str, *, may_be_refused: set[str]) -> None:
        """Count again and again until the servers have switched."""
        counts: list[Count] = []
        while (state := remint.state) != end:
            page = self.console.numbers().switched if state == "activating" else None
            counts.append(self.wire.count())
            if page is not None and page > self._switched(counts[-1], remint):
                self.report.fail(f"The page says that {page} servers have switched; fewer have.")
            if state not in ("armed", "activating", end):
                self.report.fail(f"The operation is {state}, and not {end}.")
                break
        self.report.passage("activating", counts, lost=may_be_refused)

    def _until_only_the_new_ca_is_trusted(self, remint: Remint) -> None:
        remint.wait_for_servers("activated_at", timeout=60)
        sha256, _ = remint.new_ca
        awake = {*self.fleet.awake, *self.satellites} - set(self.fleet.unproven)
        self._wait(lambda: all(self._trusts(name) == [sha256] for name in awake), "old CA dropped")
        homes = [self.zone.server_home(name) / "previous" for name in SERVERS]
        self._wait(lambda: not any(any(home.iterdir()) for home in homes), "old chain forgotten")

    def _until_refused(self, names: tuple[str, ...]) -> None:
        logs = [self.zone.home / "logs" / f"{name}.agent.log" for name in names]
        self._wait(
            lambda: all("that we do not trust" in log.read_text() for log in logs),
            "those that slept to be refused",
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        self.zone.wait(condition, LONG, what)

    # Numbers

    def _everybody(self) -> int:
        return len(SERVERS) + len(self.zone.devices)

    def _trusts(self, name: str) -> list[str]:
        return trust.fingerprints(self.wire.trust(name).encode())

    def _holding(self, remint: Remint) -> set[str]:
        """The devices that have the new CA on their disk."""
        sha256, _ = remint.new_ca
        return {name for name in self.zone.devices if sha256 in self._trusts(name)}

    def _switched(self, count: Count, remint: Remint) -> int:
        """How many servers have shown their new certificate."""
        shown = {one.place for one in count.made if one.leaf in remint.new_leaves}
        return len([place for place in shown if place[1] in (ports.CONSOLE, SATELLITE_PORT)])

    def _compare_completed(self, remint: Remint) -> None:
        """Whoever has completed the update verifies the servers by the new CA alone."""
        _, new = remint.new_ca
        holding = dict.fromkeys(self._holding(remint), new)
        by_new_alone = self.wire.shake(holding, self.wire.live_ports()).accepted()
        page = self.console.completed(remint.number)
        self.report.compare("completed", page, len(SERVERS) + len(by_new_alone))

    def _compare_trust(self, remint: Remint) -> None:
        page, holding = self.console.trusting(remint.number), self._holding(remint)
        self.report.compare("trust both CAs", page["both"], len(holding))
        self.report.compare(
            "trust only the old one", page["old"], len(self.zone.devices) - len(holding)
        )
