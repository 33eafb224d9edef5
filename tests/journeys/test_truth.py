"""
Pages, database, files and ports agree, through a remint, a cancel and a change to an external CA.

A watch looks at all of them the whole time; the tests read what it has written down. Devices are
asleep meanwhile: of these each page says when it heard of them last. JOURNEYS_FULL=1 makes it the
zone that an organisation would try it with: 20 devices, 2 Content Satellites, 6 mobiles.
"""

import json
import os
import time
from dataclasses import dataclass, field

import pytest

from tests.certificates.external_ca import ExternalCA
from tests.journeys import truth_verdict as verdict
from tests.journeys.truth import Watch
from tests.journeys.zone import RunningZone

IS_FULL = bool(os.environ.get("JOURNEYS_FULL"))
WORKSTATIONS = 20 if IS_FULL else 4
MOBILES = ("phone1", "phone2", "phone3", "tablet1", "phone4", "tablet2") if IS_FULL else ("phone1",)
SATELLITES = ("cache1", "cache2", "auth1") if IS_FULL else ("cache1", "auth1")
SLEEPERS = ("osl-ws-02", "osl-ws-03")
TLS_SERVERS = {"ps1", "ps2", "ps3", "auth1"}
SOON = 110 if IS_FULL else 50  # seconds to an activation
AWAY = 60  # seconds for which a mobile of the demo is away
PATIENCE = 300 if IS_FULL else 120


class WatchedZone(RunningZone):
    """The zone of the story."""

    def __init__(self):
        workstations = [f"osl-ws-{number:02}" for number in range(1, WORKSTATIONS + 1)]
        super().__init__(cutoff=12, devices=(*SATELLITES, *workstations, *MOBILES))

    def set_up(self):
        self.manage("migrate", "--verbosity", "0")
        words = ["--network", self.network, "--workstations", str(WORKSTATIONS)]
        self.manage("setup_demo", *words)
        self.order("prepare_more", self.network)
        self.order("schedule", 4, 3)
        for name in MOBILES:
            come_back_soon(self.device_home(name) / "mobile.json")

    def updates(self, operation):
        """Return the states of the update, of all devices together."""
        return set(self.device_updates(operation).values())


def come_back_soon(path):
    facts = json.loads(path.read_text())
    if "away" in facts:
        facts["away"]["seconds"] = AWAY
    path.write_text(json.dumps(facts))


@dataclass
class Story:
    """What the tests ask about."""

    watch: Watch
    updates: list = field(default_factory=list)
    asleep_since: float = 0.0
    asleep_until: float = 0.0
    settled: list = field(default_factory=list)  # samples of moments at which nothing moved

    @property
    def told(self):
        """What the devices' logs say of themselves."""
        found = {}
        for update in self.updates:
            found |= verdict.events(self.watch.zone, update)
        return found


@pytest.fixture(scope="module")
def zone():
    running = WatchedZone()
    try:
        running.set_up()
        running.start(90)
        running.start_agents()
        running.wait_for_agents(PATIENCE)
        yield running
        left = running.stop()
    finally:
        running.remove()
    assert left == {}


@pytest.fixture(scope="module")
def story(zone, tmp_path_factory):
    told = Story(Watch(zone))
    told.watch.start()
    try:
        remint(told, zone)
        cancel(told, zone)
        change_to_external(told, zone, ExternalCA(tmp_path_factory.mktemp("outside"), "Acme"))
    finally:
        told.watch.stop()
    return told


def follow(told, operation):
    told.watch.follow(operation)
    told.updates.append(told.watch.update)
    return operation


def come_to_rest(told):
    """Nothing moves any more: look at everything, and keep what was seen."""
    told.watch.rest()
    since = len(told.watch.samples)
    told.watch.rest()
    told.settled += [told.watch.samples[since:]]


def remint(told, zone):
    zone.stop_agents(*SLEEPERS)
    told.asleep_since = time.time()
    operation = follow(told, zone.remint(SOON))
    pass_the_activation(told, zone, operation)
    zone.order("retire", operation)
    everyone_has(zone, lambda: zone.state(operation) == "completed" and same_trust(zone))
    come_to_rest(told)


def pass_the_activation(told, zone, operation):
    zone.wait_for_state(operation, "armed", timeout=SOON + PATIENCE)
    zone.wait_for_state(operation, "overlap", timeout=PATIENCE)
    if not told.asleep_until:
        told.asleep_until = time.time()
        zone.start_agents(*SLEEPERS)
    zone.wait(
        lambda: zone.updates(operation) == {"completed"},
        PATIENCE,
        "every device to complete the update",
        lambda: zone.situation(operation),
    )
    come_to_rest(told)


def same_trust(zone):
    """Whether every device and server says that it trusts exactly one and the same CA."""
    rows = zone.rows("SELECT DISTINCT trusted_fingerprints FROM devices_device")
    return len(rows) == 1 and str(rows[0][0]).count('"') + str(rows[0][0]).count("'") == 2


def everyone_has(zone, condition):
    zone.wait(condition, PATIENCE, "every device to follow")


def cancel(told, zone):
    operation = follow(told, zone.remint(3600))
    zone.wait(
        lambda: zone.updates(operation) == {"pending"},
        PATIENCE,
        "every device to trust the new CA",
        lambda: zone.situation(operation),
    )
    come_to_rest(told)
    zone.order("cancel", operation)
    zone.wait_for_state(operation, "cancelled", timeout=PATIENCE)
    everyone_has(zone, lambda: zone.steps(operation, "cleaned_at") == TLS_SERVERS)
    everyone_has(zone, lambda: same_trust(zone))
    come_to_rest(told)


def change_to_external(told, zone, acme):
    chain = acme.folder / "chain.pem"
    chain.write_bytes(acme.chain)
    operation = follow(told, zone.order("change_to_external", chain, "ps3", SOON + 20))
    query = "SELECT csr FROM certificates_servercertificate WHERE operation_id = ? AND csr <> ''"
    zone.wait(
        lambda: len(zone.rows(query, operation)) == len(TLS_SERVERS), PATIENCE, "the requests"
    )
    signed = [acme.sign_server(bytes(csr)) for (csr,) in zone.rows(query, operation)]
    zone.order(
        "import_certificates", operation, acme.write("signed.pem", *signed, acme.intermediate)
    )
    pass_the_activation(told, zone, operation)


def test_every_page_was_read_all_the_while(story):
    assert story.watch.failures == []
    read = {sample.where for sample in story.watch.samples if sample.source == "page"}
    assert read == {
        "Certificates",
        "Content replication",
        "Devices",
        "Status by Device",
        "Summary",
        "System Updates",
        "replication status",
        "tab Certificates",
        "tab Updates",
        "the operation",
    }


def test_pages_say_what_the_database_says(story):
    assert verdict.pages_against_rows(story.watch.samples) == []


def test_nothing_is_said_of_a_device_before_it_is_so(story):
    assert verdict.rows_ahead_of_devices(story.watch.samples) == []


def test_content_that_is_available_is_there(story):
    assert verdict.rows_ahead_of_content(story.watch.samples) == []


def test_certificate_that_is_active_is_what_the_ports_send(story):
    assert verdict.rows_ahead_of_the_wire(story.watch.samples) == []


def test_pages_follow_within_five_seconds(story):
    if story.watch.waited is None:
        pytest.skip("this kernel does not say how long processes wait for a processor")
    samples, told = story.watch.samples, dict(story.told)
    told |= verdict.seen_changes(samples, "files", "identity")
    told |= verdict.seen_changes(samples, "wire", "current")

    found, took = verdict.late(story.watch, told)

    print(f"{len(took)} news, {took[len(took) * 95 // 100]:.1f} s at the 95th percentile")
    assert found == []
    assert len(took) > 20 * len(story.updates)


def test_everything_agrees_when_nothing_moves(story):
    for samples in story.settled:
        assert verdict.unsettled(samples) == []


@pytest.mark.parametrize("name", SLEEPERS)
def test_status_of_a_device_that_sleeps_has_its_age(story, name):
    since, until = story.asleep_since, story.asleep_until
    found = verdict.wrong_ages(story.watch.samples, name, asleep_since=since, asleep_until=until)

    assert found == []


def test_nothing_was_complained_of(zone, story):
    assert zone.tracebacks() == {}
