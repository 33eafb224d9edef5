"""
The CA changes server, then goes to an external CA, then comes home, in one running zone.

Clients that know only the first CA probe all the while; one device sleeps through each activation.
"""

from datetime import UTC, datetime, timedelta

import pytest

from tests.certificates.external_ca import ExternalCA
from tests.journeys import clients
from tests.journeys.certificates import authorities, link
from tests.journeys.prober import Prober
from tests.journeys.test_remint import TLS_SERVERS, of, places

SLEEPER = "osl-ws-03"


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 12}


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    return ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")


@pytest.fixture(scope="module")
def prober(zone, tmp_path_factory):
    """Clients that trust the zone's first CA, and nothing else."""
    running = Prober(tmp_path_factory.mktemp("prober"), places(zone))
    running.trusting("first", authorities(zone)[1])
    running.start()
    yield running
    running.process.kill()


def in_seconds(seconds):
    return (datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)).isoformat()


def chain_at(zone, name):
    return clients.shown_chain(f"{zone.address(name)}:{TLS_SERVERS[name][0]}")


def pass_the_activation(zone, operation):
    """Let it happen while one device sleeps, and let that one catch up by itself."""
    zone.wait_for_state(operation, "armed", timeout=70)
    zone.wait_for_state(operation, "overlap", timeout=40)
    everyone = set(TLS_SERVERS)
    zone.wait(
        lambda: zone.steps(operation, "activated_at") == everyone,
        20,
        "all servers to switch",
        lambda: zone.situation(operation),
    )
    zone.start_agents(SLEEPER)
    completed = dict.fromkeys((*TLS_SERVERS, *zone.devices), "completed")
    zone.wait(
        lambda: zone.device_updates(operation) == completed,
        40,
        "the device that slept to catch up",
        lambda: zone.situation(operation),
    )


def signing_server(zone):
    return zone.one(
        "SELECT d.name FROM certificates_certificateauthority a"
        " JOIN devices_device d ON d.id = a.server_id WHERE a.state = 'active'"
    )


def keys_at(zone, name):
    folder = zone.server_home(name) / "ca"
    found = sorted(path.name for path in folder.glob("*.key"))
    return ["update" if key.startswith("update-") else "ca" for key in found]


def test_role_moves_to_another_server(zone, prober):
    zone.stop_agents(SLEEPER)

    operation = zone.order("change_to_internal", "ps2", in_seconds(45))
    pass_the_activation(zone, operation)

    assert signing_server(zone) == "ps2"
    assert (keys_at(zone, "ps1"), keys_at(zone, "ps2")) == (["ca", "update"], ["ca", "update"])
    assert chain_at(zone, "ps3")[1:] == [link(zone, certified=2, by=1)]


def test_external_ca_signs_the_requests_of_the_servers(zone, prober, acme):
    zone.stop_agents(SLEEPER)
    chain = acme.folder / "chain.pem"
    chain.write_bytes(acme.chain)
    operation = zone.order("change_to_external", chain, "ps3", in_seconds(60))
    query = "SELECT csr FROM certificates_servercertificate WHERE operation_id = ? AND csr <> ''"
    zone.wait(lambda: len(zone.rows(query, operation)) == len(TLS_SERVERS), 30, "the requests")
    signed = [acme.sign_server(bytes(csr)) for (csr,) in zone.rows(query, operation)]
    file = acme.write("signed.pem", *signed, acme.intermediate)

    said = zone.order("import_certificates", operation, file)
    pass_the_activation(zone, operation)

    assert len([verdict for verdict in said if verdict.startswith("Imported")]) == len(signed)
    assert chain_at(zone, "auth1")[2:] == [link(zone, certified=3, by=1)]


def test_nobody_who_knows_only_the_first_ca_was_refused(prober):
    prober.stop()

    tried = of(prober.events(), what="new")
    assert {event["trust"] for event in tried} == {"first"}
    assert [event for event in tried if "error" in event] == []
    assert [event for event in of(prober.events(), what="kept") if "error" in event] == []


def test_device_that_slept_through_the_way_home_comes_in_by_the_rescue_port(zone):
    zone.order("retire", zone.one("SELECT max(id) FROM certificates_operation"))
    zone.wait(lambda: keys_at(zone, "ps1") == ["ca"], 20, "ps1 to forget the update key")
    zone.wait(lambda: len(chain_at(zone, "auth1")) == 2, 20, "the link to end")
    trust = zone.device_home(SLEEPER) / "trust.pem"
    root = authorities(zone)[3]
    zone.wait(lambda: trust.read_text() == root, 20, "all to trust the external CA alone")
    zone.stop_agents(SLEEPER)

    operation = zone.order("change_to_internal", "ps1", in_seconds(45))
    pass_the_activation(zone, operation)

    assert signing_server(zone) == "ps1"
    assert len(chain_at(zone, "ps2")) == 1  # no link from an external CA
    assert authorities(zone)[4] in trust.read_text()


def test_nothing_was_complained_of(zone):
    assert zone.tracebacks() == {}
