"""A device in a rehearsal: what it is told is followed apart from its trust, or refused whole."""

import hashlib
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent import loop, manifest, pem, rehearsal, trust
from agent.client import NoAnswer
from agent.device import Device
from agent.home import Home
from agent.loop import Bell, Loop
from tests.agent.test_proof import listening
from tests.agent.zone import NOW, Authority, key_to_der

GUID = "33333333-3333-4333-8333-333333333333"
UNREACHABLE = ["https://127.0.0.1:1"]
THROW_AWAY = Authority.make("Rehearsal", "0")


def told(the_zone, stage="trust", *, key=None, prefix=rehearsal.PREFIX, **changes):
    """What a server tells of a rehearsal."""
    payload = {
        "version": 1,
        "zone": the_zone.guid,
        "id": GUID,
        "devices": ["dev-1"],
        "stage": stage,
        "issued_at": manifest.format_time(NOW),
        "expires_at": manifest.format_time(NOW + timedelta(hours=1)),
        "anchor": THROW_AWAY.pem.decode(),
        "canaries": UNREACHABLE,
        **changes,
    }
    return the_zone.seal(json.dumps(payload).encode(), prefix=prefix, key=key).decode()


def turn(device, server, envelope):
    server.extra = {"rehearsal": envelope} if envelope else {}
    Loop(device, Bell()).turn()


def reported(server):
    return server.requests[-1].get("rehearsal")


def files_of(device):
    folder = device.home.path / "rehearsal"
    return sorted(path.name for path in folder.glob("*"))


@pytest.fixture
def canary(tmp_path, new_key):
    """The home of a server, what it shows in a rehearsal, and where its canary port is."""
    home = Home(tmp_path / "ps1")
    home.make()
    key = new_key()
    names = [rehearsal.server_name(which, GUID) for which in ("future", "active")]
    pairs = {
        which: THROW_AWAY.issue(key, name=name) + pem.key(key_to_der(key))
        for which, name in zip(("future", "active"), names, strict=True)
    }
    with listening(home) as ports:
        yield home, pairs, [f"https://127.0.0.1:{ports['canary']}"]


def test_device_goes_through_it_and_its_trust_stays_what_it_was(make_device, server, zone, canary):
    (device, _), (home, pairs, canaries) = make_device(), canary
    before = trust.current(device.home)
    home.write_secret(rehearsal.server_file("future"), pairs["future"])
    turn(device, server, told(zone, canaries=canaries))
    assert device.has_news()

    home.remove_file(rehearsal.server_file("future"))
    home.write_secret(rehearsal.server_file("active"), pairs["active"])
    turn(device, server, told(zone, "switch", canaries=canaries))
    assert reported(server)["steps"] == ["trusted", "proven"]
    turn(device, server, told(zone, "end"))
    turn(device, server, None)

    assert reported(server)["steps"] == ["trusted", "proven", "switched", "cleaned"]
    assert reported(server)["trust"] == hashlib.sha256(before).hexdigest()
    assert trust.current(device.home) == before
    assert (files_of(device), device.has_news()) == (["state.json"], False)
    turn(device, server, None)
    assert reported(server) is None


def by_another_key(zone):
    return told(zone, key=ed25519.Ed25519PrivateKey.generate())


ATTACKS = {
    "another key": (by_another_key, "not signed"),
    "a manifest": (lambda zone: zone.envelope(epoch=9).decode(), "not signed"),
    "the update tool": (lambda zone: zone.tool().decode(), "not signed"),
    "another zone": (lambda zone: told(zone, zone="other"), "another zone"),
    "another device": (lambda zone: told(zone, devices=["dev-2"]), "another device"),
    "no device": (lambda zone: told(zone, devices=[]), "another device"),
    "expired": (
        lambda zone: told(zone, expires_at=manifest.format_time(NOW - timedelta(hours=1))),
        "expired",
    ),
    "unknown stage": (lambda zone: told(zone, "activate"), "not a rehearsal"),
    "unknown version": (lambda zone: told(zone, version=2), "not a rehearsal"),
    "two anchors": (
        lambda zone: told(zone, anchor=(zone.old.pem + zone.new.pem).decode()),
        "not a rehearsal",
    ),
    "a link as anchor": (lambda zone: told(zone, anchor=zone.link.decode()), "not a rehearsal"),
    "canaries that are none": (lambda zone: told(zone, canaries=["file:///"]), "not a rehearsal"),
    "devices that are none": (lambda zone: told(zone, devices=5), "not a rehearsal"),
    "cut off": (lambda zone: told(zone)[:-30], "cut off"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_false_one_is_refused_told_of_and_leaves_nothing(make_device, server, zone, name):
    (device, _), (make, phrase) = make_device(), ATTACKS[name]
    before = trust.current(device.home)

    turn(device, server, make(zone))
    turn(device, server, None)

    assert phrase in server.requests[-1]["refusal"]["reason"]
    assert (files_of(device), reported(server)) == ([], None)
    assert trust.current(device.home) == before


def test_rehearsal_in_place_of_a_manifest_is_refused(make_device, server, zone):
    device, _ = make_device()
    before, server.manifest = trust.current(device.home), told(zone).encode()

    with pytest.raises(NoAnswer, match="not signed"):
        device.refresh(loop.now)

    assert trust.current(device.home) == before


def test_rehearsal_that_is_over_is_refused_when_it_is_told_again(make_device, server, zone):
    device, _ = make_device()
    for envelope in (told(zone), told(zone, "end"), None):
        turn(device, server, envelope)

    turn(device, server, told(zone))
    turn(device, server, None)

    assert "is over" in server.requests[-1]["refusal"]["reason"]
    assert (files_of(device), reported(server)) == (["state.json"], None)


def test_it_does_not_go_back_and_an_older_one_is_refused(make_device, server, zone):
    device, _ = make_device()
    older = manifest.format_time(NOW - timedelta(minutes=5))
    turn(device, server, told(zone, "switch"))

    for envelope in (told(zone, "trust"), told(zone, id="another", issued_at=older)):
        turn(device, server, envelope)
        turn(device, server, None)
        assert "older than what was told" in server.requests[-1]["refusal"]["reason"]
        assert reported(server)["id"] == GUID


def test_certificate_of_another_ca_proves_nothing_and_the_problem_is_told(
    make_device, server, zone, canary, new_key
):
    (device, _), (home, _, canaries) = make_device(), canary
    key = new_key()
    name = rehearsal.server_name("future", GUID)
    impostor = Authority.make("Rehearsal", "0").issue(key, name=name) + pem.key(key_to_der(key))
    home.write_secret(rehearsal.server_file("future"), impostor)

    turn(device, server, told(zone, canaries=canaries))
    turn(device, server, None)

    assert reported(server)["steps"] == ["trusted"]
    assert "a certificate that we do not trust" in reported(server)["problem"]


def test_canary_shows_a_rehearsal_to_nobody_who_does_not_ask_for_it(canary):
    home, pairs, (url,) = canary
    home.write_secret(rehearsal.server_file("future"), pairs["future"])

    with pytest.raises(NoAnswer):
        rehearsal.client.probe([url], THROW_AWAY.pem)

    answer = rehearsal.client.probe(
        [url], THROW_AWAY.pem, name=rehearsal.server_name("future", GUID)
    )
    assert answer.server == url


def test_device_that_hears_nothing_more_cleans_up_when_it_expires(make_device, server, zone):
    device, lines = make_device()
    turn(device, server, told(zone))
    assert files_of(device) == ["anchor.pem", "state.json"]

    device.rehearsing.go_on(now=NOW + timedelta(hours=1))

    assert files_of(device) == ["state.json"]
    assert "Rehearsal: the throw-away CA is removed." in lines


def test_restart_in_the_middle_goes_on_where_it_was(make_device, server, zone, canary):
    (device, _), (home, pairs, canaries) = make_device(), canary
    turn(device, server, told(zone, canaries=canaries))
    assert "failed" in device.rehearsing.report()["problem"]
    home.write_secret(rehearsal.server_file("future"), pairs["future"])

    again = Device(device.home, log=print, wake=lambda: None)
    turn(again, server, told(zone, canaries=canaries))

    assert again.rehearsing.report()["steps"] == ["trusted", "proven"]
    assert again.rehearsing.report()["problem"] == ""
