"""A host that gets another address or name: the agent notices, tells, and listens there."""

import dataclasses
import json
from dataclasses import replace

import pytest

from agent import enrol, whereabouts
from agent.__main__ import main
from agent.loop import Bell, Loop
from agent.state import Identity

ELSEWHERE = "192.0.2.7"  # of no host (RFC 5737)


@pytest.fixture
def make_mover(make_device, monkeypatch):
    """Enrol a device whose host had ELSEWHERE and another name then, and has 127.0.0.2 now."""

    def make_mover(*, finds, roles=()):
        device, lines = make_device(roles=roles)
        found = {"finds_addresses": finds, "finds_dns_name": finds}
        device.identity = replace(
            device.identity, addresses=[ELSEWHERE], dns_name="old.test.zone", **found
        )
        monkeypatch.setattr(whereabouts, "own_address", lambda server: "127.0.0.2")
        monkeypatch.setattr(whereabouts.platform, "node", lambda: "new.test.zone")
        return device, lines

    return make_mover


def told(server):
    return server.requests[-1]["addresses"], server.requests[-1]["dns_name"]


def test_other_address_and_name_of_the_host_are_told_and_kept(make_mover, server):
    device, lines = make_mover(finds=True)

    Loop(device, Bell()).turn()

    assert told(server) == (["127.0.0.2"], "new.test.zone")
    assert Identity.load(device.home).addresses == ["127.0.0.2"]
    assert "This host is new.test.zone, at 127.0.0.2." in lines
    assert not device.begins_anew  # it listens nowhere


def test_what_was_said_at_the_enrolment_stays(make_mover, server):
    device, _ = make_mover(finds=False)

    Loop(device, Bell()).turn()

    assert told(server) == ([ELSEWHERE], "old.test.zone")


def test_satellite_begins_anew_to_listen_at_the_other_address(make_mover, server):
    device, _ = make_mover(finds=True, roles=["content"])
    server.extra = {"roles": ["content"], "content": []}

    Loop(device, Bell()).run()  # returns: nobody stops it

    assert device.begins_anew


@pytest.mark.parametrize(
    ("known", "now"),
    [("127.0.0.1", "127.0.0.2"), (ELSEWHERE, whereabouts.UNKNOWN)],
    ids=["still an address of the host", "no network"],
)
def test_address_stays(make_device, monkeypatch, known, now):
    identity = replace(make_device()[0].identity, addresses=[known], finds_addresses=True)
    monkeypatch.setattr(whereabouts, "own_address", lambda server: now)

    assert whereabouts.found(identity, "https://127.0.0.1") == identity


@pytest.mark.parametrize(
    ("said", "finds"),
    [
        ([], (True, True)),
        (["--name", "ws9"], (False, True)),
        (["--dns", "ws9.test.zone"], (False, True)),
        (["--address", ELSEWHERE], (True, False)),
    ],
)
def test_command_line_says_whether_the_host_is_asked(server, zone, tmp_path, said, finds):
    command = ["--home", str(tmp_path / "home"), "--server", server.url, "--key", "KEY"]
    command += ["--fingerprint", zone.old.sha256, *said]

    assert main(["enrol", *command]) == 0

    identity = Identity.load(enrol.Home(tmp_path / "home"))
    assert (identity.finds_dns_name, identity.finds_addresses) == finds


@pytest.fixture
def make_old(make_device, monkeypatch):
    """Enrol a device as an older agent did: its identity does not say what the host said."""

    def make_old(**said):
        device, lines = make_device()
        monkeypatch.setattr(whereabouts, "own_address", lambda server: "127.0.0.3")
        monkeypatch.setattr(whereabouts.platform, "node", lambda: "ws1.test.zone")
        facts = {"addresses": ["127.0.0.3"], "dns_name": "ws1.test.zone", **said}
        old = {**dataclasses.asdict(device.identity), **facts}
        old = {key: value for key, value in old.items() if not key.startswith("finds_")}
        device.home.write_secret("identity.json", json.dumps(old).encode())
        device.identity = Identity.load(device.home)
        return device, lines

    return make_old


@pytest.mark.parametrize(
    ("said", "follows"),
    [
        ({}, (True, True)),
        ({"dns_name": "www.test.zone"}, (False, True)),
        ({"addresses": [ELSEWHERE]}, (True, False)),
    ],
)
def test_older_identity_follows_what_the_host_still_says(make_old, server, said, follows):
    device, lines = make_old(**said)

    Loop(device, Bell()).turn()

    identity = Identity.load(device.home)
    assert (identity.finds_dns_name, identity.finds_addresses) == follows
    assert not [line for line in lines if line.startswith("This host is")]


def test_older_identity_waits_for_the_network_to_note_its_address(make_old, monkeypatch):
    identity = make_old()[0].identity
    monkeypatch.setattr(whereabouts, "own_address", lambda server: whereabouts.UNKNOWN)

    assert whereabouts.found(identity, "https://127.0.0.1").finds_addresses is None
