"""
A whole remint, watched from outside: every 80 ms at every port, and by other people's clients.

The story is told once, by the fixture; what was seen is written down, and the tests read it.
"""

import time
from dataclasses import dataclass, field
from itertools import groupby

import pytest

from tests.journeys import clients, secrets
from tests.journeys.broker import Listener
from tests.journeys.certificates import authorities, issued, leaf, link, openssl_refuses
from tests.journeys.prober import Prober

SLEEPER = "osl-ws-03"
TLS_SERVERS = {"ps1": (7443, 7444), "ps2": (7443, 7444), "ps3": (7443, 7444), "auth1": (8443,)}
PHASES = ("before", "armed", "overlap", "retired")


@dataclass
class Story:
    """What was seen, by phase."""

    chains: dict = field(default_factory=dict)
    refusals: dict = field(default_factory=dict)
    trust_of_sleeper: dict = field(default_factory=dict)
    homes: dict = field(default_factory=dict)
    operation: int = 0
    activate_at: float = 0.0
    everyone_armed_at: float = 0.0
    events: list = field(default_factory=list)
    secrets: dict = field(default_factory=dict)
    messages: bytes = b""


def places(zone):
    """Return ADDRESS:PORT of every TLS port of the zone."""
    return [f"{zone.address(name)}:{port}" for name in TLS_SERVERS for port in TLS_SERVERS[name]]


def look(story, zone, phase, folder, *trusts):
    """Write down what the ports send in this phase, and what clients with these CAs say of it."""
    story.chains[phase] = {
        name: [clients.shown_chain(f"{zone.address(name)}:{port}") for port in TLS_SERVERS[name]]
        for name in TLS_SERVERS
    }
    # One RSA and later EC server, and the other implementation of a listener, say enough.
    asked = [f"{zone.address('ps1')}:7443", f"{zone.address('auth1')}:8443"]
    files = [folder / f"{trust}.pem" for trust in trusts]
    story.refusals[phase] = clients.refusals(files, asked)


def home_of(zone, name):
    return zone.device_home(name) if name in zone.devices else zone.server_home(name)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def story(zone, tmp_path_factory):
    told, folder = Story(), tmp_path_factory.mktemp("prober")
    trust = zone.device_home(SLEEPER) / "trust.pem"
    prober, listener = Prober(folder, places(zone)), Listener(zone)
    (old,) = authorities(zone).values()
    zone.stop_agents(SLEEPER)
    told.trust_of_sleeper["asleep"] = trust.read_bytes()
    prober.trusting("old", old)
    prober.start()
    listener.start()
    try:
        look(told, zone, "before", prober.trust, "old")
        told.operation = zone.remint(50)
        _until_armed(told, zone, prober, old)
        _until_overlap(told, zone, prober)
    finally:
        prober.stop()
    told.events = prober.events()
    _wake(told, zone, trust)
    _retire(told, zone, prober)
    told.messages = listener.stop()
    return told


def _until_armed(told, zone, prober, old):
    zone.wait(lambda: 2 in authorities(zone), 30, "the new CA")
    new = authorities(zone)[2]
    prober.trusting("both", old + new)
    zone.wait_for_state(told.operation, "armed", timeout=60)
    everyone = set(TLS_SERVERS)
    zone.wait(lambda: zone.steps(told.operation, "armed_at") == everyone, 12, "all to be armed")
    told.homes["armed"] = {n: files_in(home_of(zone, n) / "remint-repo") for n in TLS_SERVERS}
    told.everyone_armed_at = time.time()
    told.secrets = secrets.private_keys(zone)
    prober.trusting("new", new)
    look(told, zone, "armed", prober.trust, "old", "new")


def _until_overlap(told, zone, prober):
    zone.wait_for_state(told.operation, "overlap", timeout=40)
    told.activate_at = zone.activate_at(told.operation).timestamp()
    look(told, zone, "overlap", prober.trust, "old", "new", "both")


def _wake(told, zone, trust):
    told.trust_of_sleeper["activated"] = trust.read_bytes()
    zone.start_agents(SLEEPER)
    completed = dict.fromkeys((*TLS_SERVERS, *zone.devices), "completed")
    zone.wait(
        lambda: zone.device_updates(told.operation) == completed,
        20,
        "every device to complete the update",
        lambda: zone.device_updates(told.operation),
    )
    told.trust_of_sleeper["awake"] = trust.read_bytes()


def _retire(told, zone, prober):
    zone.order("retire", told.operation)
    kept = [home_of(zone, name) / "previous" for name in TLS_SERVERS]
    zone.wait(lambda: not any(map(files_in, kept)), 20, "every server to send no link any more")
    look(told, zone, "retired", prober.trust, "new", "both")
    told.homes["retired"] = {n: files_in(home_of(zone, n) / "previous") for n in TLS_SERVERS}


def of(events, **wanted):
    return [e for e in events if all(e.get(name) == value for name, value in wanted.items())]


@pytest.mark.parametrize("trust", ["old", "both", "new"])
def test_no_new_session_fails(story, zone, trust):
    tried = of(story.events, what="new", trust=trust)

    assert [event for event in tried if "error" in event] == []
    seconds = tried[-1]["at"] - tried[0]["at"]
    assert len(tried) > seconds * len(places(zone))  # it tried all the time, at every port


def test_no_kept_connection_breaks(story, zone):
    asked = of(story.events, what="kept")

    assert [event for event in asked if "error" in event] == []
    assert {event["place"] for event in asked} == set(places(zone))
    assert asked[-1]["at"] > story.activate_at + 1


def test_issuer_of_each_port_changes_once_and_in_time(story, zone):
    for place in places(zone):
        seen = of(story.events, what="new", place=place)
        runs = [list(run) for _, run in groupby(seen, key=lambda event: event["issuer"])]
        late = [run[0]["at"] - story.activate_at for run in runs[1:]]

        assert len(runs) == 2, place
        assert 0 <= late[0] <= 5, place


@pytest.mark.parametrize("phase", PHASES)
def test_chain_sent_is_the_one_of_its_phase(story, zone, phase):
    bridge = link(zone, certified=1, by=2)
    carrier = link(zone, certified=2, by=1)
    for name, chains in story.chains[phase].items():
        old, new = leaf(zone, name, None), leaf(zone, name, story.operation)
        table = {
            "before": [old],
            "armed": [old, bridge],
            "overlap": [new, carrier],
            "retired": [new],
        }
        expected = [table[phase]] * len(TLS_SERVERS[name])
        if (
            len(table[phase]) == 1 and 7444 in TLS_SERVERS[name]
        ):  # the port that asks for identities
            root = authorities(zone)[1 if phase == "before" else 2]
            expected[TLS_SERVERS[name].index(7444)] = [*table[phase], root]
        assert chains == expected, name


@pytest.mark.parametrize("phase", PHASES)
def test_other_clients_accept_every_phase(story, phase):
    assert story.refusals[phase] == []


def test_every_client_was_asked():
    missing = {"curl", "python3.13", "gnutls-cli", "java"} - clients.names()
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")


def test_openssl_strict_accepts_every_certificate_issued(story, zone):
    roots, certificates = authorities(zone), issued(zone)
    refused = [openssl_refuses(pem, roots[by]) for pem, by in certificates]

    assert [refusal for refusal in refused if refusal] == []
    assert len(certificates) == 2 + 2 + 2 * len(TLS_SERVERS)  # roots, links, two leaves each


def test_device_that_slept_trusts_the_new_ca_from_its_first_contact_on(story, zone):
    seen, roots = story.trust_of_sleeper, authorities(zone)

    assert seen["activated"] == seen["asleep"] == roots[1].encode()
    assert sorted(seen["awake"].decode().split("-----BEGIN")) == sorted(
        (roots[1] + roots[2]).split("-----BEGIN")
    )


def test_devices_trust_only_the_new_ca_after_the_old_one_is_retired(story, zone):
    new = authorities(zone)[2].encode()

    for name in zone.devices:
        trust = zone.device_home(name) / "trust.pem"
        zone.wait(lambda trust=trust: trust.read_bytes() == new, 15, f"{name} to drop the old CA")


def test_future_certificate_waits_in_remint_repo(story):
    for name, files in story.homes["armed"].items():
        assert {"server.cer", "key.der", "ca.cert", "go-ahead.json"} <= set(files), name


def test_nothing_of_the_old_certificate_is_kept_after_retirement(story, zone):
    assert story.homes["retired"] == {name: [] for name in TLS_SERVERS}
    for name in TLS_SERVERS:
        assert files_in(home_of(zone, name) / "remint-repo") == []


def test_history_has_one_event_for_each_transition(story, zone):
    query = (
        "SELECT state, by_id FROM certificates_operationevent WHERE operation_id = ? ORDER BY id"
    )
    by_software = ("replicating", "assigned", "armed", "activating", "overlap")
    admin = zone.one("SELECT id FROM auth_user WHERE username = 'admin'")

    assert zone.rows(query, story.operation) == [
        ("preparing", admin),
        *((state, None) for state in by_software),
        ("completed", admin),
    ]


def test_no_private_key_is_seen_outside_the_homes(story, zone):
    ca_keys = [name for name in story.secrets if name.endswith(".key")]
    of_servers = [name for name in story.secrets if "/secrets/" in name]

    assert len(ca_keys) == 2
    assert len(story.secrets) == len(of_servers) + 3 + 2 * len(TLS_SERVERS)
    assert story.messages.count(b'"LPUSH"') > 10
    assert secrets.seen(zone, story.secrets, messages=story.messages) == []


def test_the_search_would_find_a_key(story, zone):
    (secret,) = story.secrets["update key"]
    written = zone.home / "logs" / "leak.log"
    for form in secrets.forms(secret):
        written.write_bytes(b"noise " + form + b" noise")

        assert secrets.seen(zone, story.secrets) == [("update key", "logs/leak.log")]
    written.unlink()


def test_nothing_was_complained_of(story, zone):
    assert zone.tracebacks() == {}
