"""The canary cannot be fooled, and a device that trusts no server any more is rescued."""

from contextlib import contextmanager

import pytest

from agent import loop, proof, serve, trust
from agent.client import NoAnswer
from agent.home import Home
from agent.serve import Listener, ListenerThread
from agent.state import State
from tests.agent.server import ContentServer, fingerprint_shown
from tests.agent.test_device import assign, package, trusted, turns
from tests.ports import free_port

__all__ = ["assign"]


@contextmanager
def listening(home):
    """The canary and the rescue port of a home, on free ports."""
    ports = {name: free_port() for name in ("canary", "rescue")}
    thread = ListenerThread(Listener("127.0.0.1", serve.ports_of(home, **ports, log=print)))
    thread.start()
    try:
        yield ports
    finally:
        thread.stop()


@pytest.fixture
def server_home(tmp_path, install):
    """The home of a server that shows the old certificate."""
    home = Home(tmp_path / "ps1")
    home.make()
    install(home)
    return home


@pytest.fixture
def ready(make_device, server, assign, zone):
    """A device that trusts both CAs and waits for the activation, with what it logged."""

    def ready():
        content = package(zone.old.pem, zone.new.pem)
        device, lines = make_device()
        with ContentServer() as source:
            source.items[assign([source.url], content=content)] = content
            turns(device)
        assert device.state.progress.state == "pending"
        return device, lines

    return ready


def ask_for_proof(server, zone, canary):
    update = server.extra["update"]["id"]
    wish = {"update": update, "new_anchor": zone.new.sha256, "canaries": [canary]}
    server.extra["prove"] = wish


def last_proof(server):
    return server.requests[-1]["proof"]


def test_device_proves_by_the_canary_and_says_which_leaf_it_saw(
    ready, server, server_home, stage, zone
):
    device, _ = ready()
    stage(server_home)
    with listening(server_home) as ports:
        ask_for_proof(server, zone, f"https://127.0.0.1:{ports['canary']}")
        turns(device, 4)

    assert last_proof(server)["leaf"] == server_home.staged().leaf_sha256
    assert State.load(device.home).proof["leaf"] == last_proof(server)["leaf"]


@pytest.mark.parametrize("chain", ["old", "old with bridge", "nothing"])
def test_canary_that_does_not_show_the_new_ca_proves_nothing(
    ready, server, server_home, chain, zone
):
    device, _ = ready()
    canary = server_home.path / "remint-repo" / "canary.pem"
    if chain != "nothing":
        shown = server_home.server_pem.read_bytes()
        canary.write_bytes(shown + (zone.bridge if "bridge" in chain else b""))
    with listening(server_home) as ports:
        ask_for_proof(server, zone, f"https://127.0.0.1:{ports['canary']}")
        turns(device, 4)

    # A bridge (the old CA signed by the new one) does verify.
    problem = last_proof(server)["problem"]
    assert problem.startswith("The proof for the new CA failed: ")
    assert problem.endswith("shows a certificate of the old CA.") is ("bridge" in chain)


def test_failed_proof_is_told_once_and_tried_again_at_each_refresh(ready, server, zone):
    device, lines = ready()
    ask_for_proof(server, zone, f"https://127.0.0.1:{free_port()}")

    waits = turns(device, 5)

    said = [line for line in lines if "proof for the new CA failed" in line]
    assert len(said) >= 2
    assert waits[-1] > 1  # and the server is not asked at once each time


def test_wrong_clock_is_named(zone):
    wish = {"update": "u", "new_anchor": zone.new.sha256, "canaries": []}

    slow = proof.attempt(wish, [zone.new.pem], offset=32_520, at="now")
    fast = proof.attempt(wish, [zone.new.pem], offset=-360, at="now")

    assert "the clock of this device is 9 h 2 min slow. Set its time" in slow["problem"]
    assert "6 min fast" in fast["problem"]


@pytest.mark.parametrize(
    "wish", [{"update": 1}, {"canaries": "x"}, [1], "x", {"new_anchor": [], "canaries": [1]}]
)
def test_wish_that_makes_no_sense_is_an_answer_not_understood(ready, server, wish):
    device, _ = ready()
    server.extra["prove"] = wish

    with pytest.raises(NoAnswer, match="not understood"):
        device.refresh(loop.now)


def test_canary_comes_and_goes_with_the_staged_certificate(server_home, stage, zone):
    with listening(server_home) as ports:
        with pytest.raises(OSError):
            fingerprint_shown("127.0.0.1", ports["canary"])
        stage(server_home)
        staged = server_home.staged().leaf_sha256
        assert fingerprint_shown("127.0.0.1", ports["canary"]) == staged
        server_home.clean(zone.operation)
        with pytest.raises(OSError):
            fingerprint_shown("127.0.0.1", ports["canary"])


def rescue_from(server, monkeypatch, port):
    """Let the device find the server's rescue port where the test has it."""
    monkeypatch.setattr(proof, "RESCUE_PORT", port)


def activated(server, server_home, stage, zone, **changes):
    """The server has switched in Strict: it sends no link, and trusts only the new CA."""
    stage(server_home)
    server_home.activate(zone.operation)
    server.publish(**{"epoch": 5, "anchors": [zone.new.pem], **changes})
    server_home.write_file("trust-manifest.json", server.manifest)
    server.show(zone.new)


def test_device_that_slept_is_rescued_by_the_old_chain(
    make_device, server, server_home, stage, zone, monkeypatch
):
    device, lines = make_device()
    activated(server, server_home, stage, zone)
    with listening(server_home) as ports:
        rescue_from(server, monkeypatch, ports["rescue"])
        turns(device, 2)

    assert trusted(device) == {zone.new.sha256}
    assert device.state.epoch == 5
    assert any(line.startswith("Rescued: ") for line in lines)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b'{"payload": "e30=", "signature": ""}',
        b"x" * 1_000_000,
        "other zone",
        "lower epoch",
        "other key",
    ],
)
def test_hostile_rescue_changes_nothing(
    make_device, server, server_home, stage, zone, monkeypatch, manifest
):
    device, lines = make_device()
    activated(server, server_home, stage, zone)
    server.publish(epoch=1)  # nothing new by the proper way
    offered = {
        "other zone": lambda: zone.envelope(
            epoch=9, anchors=[zone.new.pem], zone="99999999-7f0e-4b36-9a54-0e8f6f4f6d01"
        ),
        "lower epoch": lambda: zone.envelope(epoch=0, anchors=[zone.new.pem]),
        "other key": lambda: type(zone)().envelope(epoch=9, anchors=[zone.new.pem]),
    }
    data = offered[manifest]() if isinstance(manifest, str) else manifest
    server_home.write_file("trust-manifest.json", data)
    before = trust.current(device.home)
    with listening(server_home) as ports:
        rescue_from(server, monkeypatch, ports["rescue"])
        turns(device, 2)

    assert trust.current(device.home) == before
    assert not any(line.startswith("Rescued") for line in lines)


def test_rescue_port_ends_with_the_old_ca_and_answers_nothing_else(
    server_home, stage, zone, make_device
):
    stage(server_home)
    old = server_home.live().leaf_sha256
    server_home.activate(zone.operation)
    with listening(server_home) as ports:
        assert fingerprint_shown("127.0.0.1", ports["rescue"]) == old
        server_home.retire()
        with pytest.raises(OSError):
            fingerprint_shown("127.0.0.1", ports["rescue"])
