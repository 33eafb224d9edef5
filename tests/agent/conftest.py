"""Real certificates, real TLS servers and real homes for the tests of the agent."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from agent import enrol, loop
from agent.device import Device
from agent.enrol import Application
from agent.home import Home
from tests.agent.server import ZoneServer
from tests.agent.zone import Zone, key_to_der


@pytest.fixture(scope="session")
def zone():
    return Zone()


@pytest.fixture
def make_key():
    return lambda: key_to_der(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def new_key():
    return lambda: ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    return home


@pytest.fixture
def install(zone):
    """Make a certificate of the old CA live in a home."""

    def install(home, address="127.0.0.1"):
        key = ec.generate_private_key(ec.SECP256R1())
        home.install(
            key_der=key_to_der(key), chain_pem=zone.old.issue(key, address), ca_pem=zone.old.pem
        )

    return install


@pytest.fixture
def stage(zone, make_key):
    """Stage a certificate of the new CA in a home."""

    def stage(home, address="127.0.0.1"):
        key = load_der_private_key(home.future_key(zone.operation, make_key), None)
        home.stage(
            zone.operation,
            chain_pem=zone.new.issue(key, address) + zone.new.pem,
            ca_pem=zone.new.pem,
            link_pem=zone.link,
            bridge_pem=zone.bridge,
        )

    return stage


@pytest.fixture
def server(zone, tmp_path):
    """A server of the zone that shows a certificate of the old CA."""
    with ZoneServer(zone, tmp_path / "server.pem") as server:
        yield server


@pytest.fixture
def enrolled(server, zone, tmp_path):
    """Enrol a device and return its home."""

    def enrolled(*, roles=(), name="osl-ws-01"):
        application = Application(
            server=server.url,
            key="KEY",
            fingerprint=zone.old.sha256,
            name=name,
            kind="workstation",
            dns_name=name,
            addresses=["127.0.0.1"],
            roles=list(roles),
        )
        home = Home(tmp_path / name)
        enrol.enrol(home, application, loop.now)
        return home

    return enrolled


@pytest.fixture
def make_device(enrolled):
    """Enrol a device; return it and the list of what it logs."""

    def make_device(**options):
        lines = []
        return Device(enrolled(**options), log=lines.append, wake=lambda: None), lines

    return make_device
