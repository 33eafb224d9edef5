"""
The CA changes server, then goes to an external CA, then comes home, in one running zone.

Clients that know only the first CA probe all the while; one device sleeps through each activation,
and a mobile renews its identity at each. Whatever they are answered is searched for secrets.
"""

import http.server
import threading
from contextlib import contextmanager

import pytest

from tests.certificates.external_ca import ExternalCA
from tests.journeys import answers, clients, secrets
from tests.journeys.certificates import authorities, link
from tests.journeys.prober import Prober
from tests.journeys.test_ca_role import PASSPHRASE, ended
from tests.journeys.test_remint import TLS_SERVERS, of, places
from tests.journeys.zone import DEVICES

SLEEPER, MOBILE = "osl-ws-03", "phone1"


@pytest.fixture(scope="module")
def settings_of_zone():
    return {"cutoff": 12, "devices": (*DEVICES, MOBILE)}


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    return ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")


@pytest.fixture(scope="module")
def known(zone):
    """The secrets of the zone by name, more with each chapter."""
    return {"passphrase": [PASSPHRASE.encode()], **secrets.private_keys(zone)}


@pytest.fixture(scope="module")
def prober(zone, tmp_path_factory):
    """Clients that trust the zone's first CA, and nothing else."""
    running = Prober(tmp_path_factory.mktemp("prober"), places(zone))
    running.trusting("first", authorities(zone)[1])
    running.start()
    yield running
    running.process.kill()


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
    return [key.partition("-")[0] if key[0] in "ui" else "ca" for key in found]


def identity(zone):
    """Return the generation that the mobile's identity is issued under, and who has signed it."""
    [found] = zone.rows(
        "SELECT a.generation, i.issuer FROM certificates_mobileidentity i"
        " JOIN certificates_certificateauthority a ON a.id = i.authority_id"
        " WHERE i.state = 'current'"
    )
    return found


def subject(zone, generation):
    return zone.one(
        "SELECT subject FROM certificates_certificateauthority WHERE generation = ?", generation
    )


def test_role_moves_to_another_server(zone, prober, known):
    zone.stop_agents(SLEEPER)

    operation = zone.order("change_to_internal", "ps2", 50)
    pass_the_activation(zone, operation)

    assert signing_server(zone) == "ps2"
    assert (keys_at(zone, "ps1"), keys_at(zone, "ps2")) == (["ca", "update"], ["ca", "update"])
    assert chain_at(zone, "ps3")[1:] == [link(zone, certified=2, by=1)]
    assert identity(zone) == (2, subject(zone, 2))
    known |= secrets.private_keys(zone)


def test_external_ca_signs_the_requests_of_the_servers(zone, prober, acme, known):
    zone.stop_agents(SLEEPER)
    chain = acme.folder / "chain.pem"
    chain.write_bytes(acme.chain)
    operation = zone.order("change_to_external", chain, "ps3", 60)
    query = "SELECT csr FROM certificates_servercertificate WHERE operation_id = ? AND csr <> ''"
    zone.wait(lambda: len(zone.rows(query, operation)) == len(TLS_SERVERS), 30, "the requests")
    signed = [acme.sign_server(bytes(csr)) for (csr,) in zone.rows(query, operation)]
    file = acme.write("signed.pem", *signed, acme.intermediate)

    said = zone.order("import_certificates", operation, file)
    pass_the_activation(zone, operation)

    assert len([verdict for verdict in said if verdict.startswith("Imported")]) == len(signed)
    assert chain_at(zone, "auth1")[2:] == [link(zone, certified=3, by=1)]
    generation, signer = identity(zone)
    assert (generation, "Identities" in signer) == (3, True)
    assert keys_at(zone, "ps2") == ["ca", "identity", "update"]
    known |= secrets.private_keys(zone)


def test_the_zones_own_keys_move_beside_the_external_ca(zone, prober, known):
    before = identity(zone)
    assert ended(zone, zone.order("back_up", "ps1", PASSPHRASE)) == ("done", "")

    assert ended(zone, zone.order("move_role", "ps1", "ps3")) == ("done", "")

    zone.wait(lambda: keys_at(zone, "ps2") == [], 20, "ps2 to destroy its copies")
    assert (signing_server(zone), keys_at(zone, "ps3")) == ("ps3", ["ca", "identity", "update"])
    assert identity(zone) == before
    known |= secrets.private_keys(zone)


def test_nobody_who_knows_only_the_first_ca_was_refused(prober):
    prober.stop()

    tried = of(prober.events(), what="new")
    assert {event["trust"] for event in tried} == {"first"}
    assert [event for event in tried if "error" in event] == []
    assert [event for event in of(prober.events(), what="kept") if "error" in event] == []


def test_device_that_slept_through_the_way_home_comes_in_by_the_rescue_port(zone, known):
    zone.order("retire", zone.one("SELECT max(id) FROM certificates_operation"))
    zone.wait(lambda: keys_at(zone, "ps1") == ["ca"], 20, "ps1 to forget the update key")
    zone.wait(lambda: len(chain_at(zone, "auth1")) == 2, 20, "the link to end")
    trust = zone.device_home(SLEEPER) / "trust.pem"
    root = authorities(zone)[3]
    zone.wait(lambda: trust.read_text() == root, 20, "all to trust the external CA alone")
    zone.stop_agents(SLEEPER)

    operation = zone.order("change_to_internal", "ps1", 50)
    pass_the_activation(zone, operation)

    assert signing_server(zone) == "ps1"
    assert len(chain_at(zone, "ps2")) == 1  # no link from an external CA
    assert authorities(zone)[4] in trust.read_text()
    assert identity(zone) == (4, subject(zone, 4))
    known |= secrets.private_keys(zone)


def test_no_answer_to_a_device_and_nothing_else_holds_a_secret(zone, known):
    assert ended(zone, zone.order("back_up", "ps3", PASSPHRASE)) == ("done", "")
    setup = f"http://{zone.address('ps1')}:7480/zenworks-setup"
    files = [path.name for path in (zone.server_home("ps1") / "zenworks-setup").iterdir()]
    answers.open_all(zone, setup, *(f"{setup}/{name}" for name in files))
    answers.open_all(zone, f"https://{zone.address('auth1')}:8443/")

    heard = answers.heard(zone)

    assert {answer.asked for answer in heard} >= answers.KINDS
    assert len([answer for answer in heard if b" 200 ok" in answer.head]) > 200
    assert not [answer for answer in heard if b"encoding: chunked" in answer.head]  # all in one
    assert len([name for name in known if name.startswith("identity CA")]) == 1
    assert len([name for name in known if name.endswith(".key") and "/" not in name]) == 3
    assert secrets.seen(zone, known) == []


def test_the_search_would_find_a_key_in_an_answer(zone, known):
    home = zone.server_home("ps1")
    key = (home / "security" / "server.pem").read_bytes()
    with server_that_answers(key) as url:
        answers.open_all(zone, f"{url}/device/refresh")

    found = secrets.seen(zone, known)

    asked = f"{url.rpartition(':')[2]} GET /device/refresh"
    assert {("a key in PEM", asked), ("ps1/security/server.pem", asked)} == set(found)


@contextmanager
def server_that_answers(body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_nothing_was_complained_of(zone):
    assert zone.tracebacks() == {}
