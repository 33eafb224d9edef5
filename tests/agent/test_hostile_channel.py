"""
A server of the zone that lies: it holds a good certificate, and says what it should not.

Whatever it says, the device keeps the trust it has, goes on working, and tells the next server that
answers as it should what it refused, so that it stands on the device's page.
"""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent import client, loop, manifest, trust
from agent.client import NoAnswer, Refused
from agent.told import MAX_INTERVAL
from tests.agent.server import ZoneServer
from tests.agent.zone import NOW, Zone

EPOCH = 5


def at(**distance):
    return manifest.format_time(NOW + timedelta(**distance))


def sealed(zone, text):
    return zone.seal(text.encode())


def in_manifest(**changes):
    """The zone's own signature under a manifest that is not to be followed."""
    return lambda zone: {"manifest": zone.envelope(**{"epoch": EPOCH + 1, **changes})}


def raw_manifest(make):
    return lambda zone: {"manifest": make(zone)}


def answer(**changes):
    return lambda zone: changes


def another_zones(zone):
    other = Zone()
    return other.envelope(epoch=EPOCH + 1)


def twice(zone):
    text = json.dumps({"version": 1, "zone": zone.guid, "anchors": []})
    return sealed(zone, text[:-1] + f', "anchors": [{json.dumps(zone.new.pem.decode())}]}}')


def by_another_key(zone):
    key = ed25519.Ed25519PrivateKey.generate()
    return zone.seal(b'{"version": 1}', key=key)


def tool_as_manifest(zone):
    return zone.tool(epoch=EPOCH + 1)


def mixed(zone):
    """The payload of one manifest under the signature of another."""
    one, two = json.loads(zone.envelope(epoch=6)), json.loads(zone.envelope(epoch=7))
    return json.dumps({"payload": one["payload"], "signature": two["signature"]}).encode()


ITEM = {"sha256": "0" * 64, "size": 1, "sources": []}

ATTACKS = {
    "rollback": (in_manifest(epoch=EPOCH - 1), "older"),
    "rollback to none": (in_manifest(epoch=0), "older"),
    "negative epoch": (in_manifest(epoch=-1), "older"),
    "expired": (in_manifest(expires_at=at(days=-1)), "expired"),
    "another zone by name": (in_manifest(zone="other"), "another zone"),
    "another zone by key": (raw_manifest(another_zones), "not signed"),
    "another key": (raw_manifest(by_another_key), "not signed"),
    "mix and match": (raw_manifest(mixed), "not signed"),
    "signed for another purpose": (raw_manifest(tool_as_manifest), "not signed"),
    "no anchors": (in_manifest(anchors=[b"none"]), "not a manifest"),
    "a key as anchor": (in_manifest(anchors=[b"-----BEGIN PRIVATE KEY-----"]), "not a manifest"),
    "duplicate keys": (raw_manifest(twice), "not JSON"),
    "truncated": (raw_manifest(lambda zone: zone.envelope(epoch=6)[:-40]), "cut off"),
    "no JSON": (raw_manifest(lambda zone: b"trust me"), "not JSON"),
    "too deep": (raw_manifest(lambda zone: b"[" * 20_000), "not JSON"),
    "time of the past": (answer(time=at(days=-30)), "not understood"),
    "time of the far future": (answer(time="9999-12-31T23:59:59Z"), "not understood"),
    "no time": (answer(time="now"), "not understood"),
    "no server any more": (answer(servers=["http://127.0.0.1"]), "not understood"),
    "a thousand servers": (answer(servers=["https://127.0.0.1:1"] * 1000), "not understood"),
    "servers that are none": (answer(servers=5), "not understood"),
    "sleep for ever": (answer(next_refresh=float("inf")), "not understood"),
    "sleep for no number": (answer(next_refresh=float("nan")), "not understood"),
    "an update that is none": (answer(update={}), "not understood"),
    "a canary that is none": (answer(prove={"canaries": 5}), "not understood"),
    "content outside its folder": (answer(content=[{**ITEM, "sha256": "../../x"}]), "not underst"),
    "content that is none": (answer(content=[{"sha256": "0" * 64}]), "not understood"),
    "certificates that are none": (answer(certificates=5), "not understood"),
}

RAW = {
    "endless": (b" " * (client.MAX_ANSWER + 1), "more than"),
    "no object": (b"[]", "not understood"),
    "half an answer": (b'{"time": "20', "not understood"),
    "a name twice": (b'{"time": 1, "time": 2}', "not understood"),
}


@pytest.fixture
def satellite(make_device, server):
    """A device with both roles, which takes in most, at epoch 5."""
    device, lines = make_device(roles=["content", "authentication"])
    server.publish(epoch=EPOCH)
    device.refresh(loop.now)
    return device, lines


def held(device):
    files = (path for path in device.home.path.rglob("*") if path.is_file())
    found = {str(path.relative_to(device.home.path)): path.read_bytes() for path in files}
    state = json.loads(found.pop("state.json"))
    return found, {**state, "refusal": None, "offset": None, "steps": None}


@pytest.mark.parametrize("name", ATTACKS)
def test_lie_changes_nothing_and_is_told(satellite, server, zone, name):
    changes, phrase = ATTACKS[name]
    lie = changes(zone)
    device, _ = satellite
    before = held(device)
    honest = server.manifest
    server.manifest = lie.pop("manifest", honest)
    server.extra = lie

    refused(device, server, before, phrase)

    server.manifest, server.extra = honest, {}
    told(device, server, phrase)


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_answer_changes_nothing_and_is_told(satellite, server, name):
    lie, phrase = RAW[name]
    device, _ = satellite
    before = held(device)
    server.refusal = (200, lie)

    refused(device, server, before, phrase)

    server.refusal = None
    told(device, server, phrase)


def refused(device, server, before, phrase):
    with pytest.raises(NoAnswer, match=phrase):
        device.refresh(loop.now)
    assert held(device) == before
    assert trust.fingerprints(trust.current(device.home)) == [server.zone.old.sha256]


def told(device, server, phrase):
    """The device works as before, and said once what it refused."""
    device.refresh(loop.now)
    device.refresh(loop.now)

    assert phrase in server.requests[-2]["refusal"]["reason"]
    assert server.requests[-2]["refusal"]["server"] == server.url
    assert server.requests[-1]["refusal"] is None


def test_next_server_is_asked_at_once_and_the_liar_last(make_device, server, zone, tmp_path):
    device, _ = make_device()
    with ZoneServer(zone, tmp_path / "other.pem") as other:
        other.interval = server.interval
        for one in (server, other):
            one.extra = {"servers": [server.url, other.url]}
        device.refresh(loop.now)
        server.manifest = another_zones(zone)
        other.publish(epoch=7)

        device.refresh(loop.now)

        assert device.state.epoch == 7
        assert "not signed" in other.requests[-1]["refusal"]["reason"]
        device.refresh(loop.now)
        assert len(server.requests) == 2


def test_server_that_says_no_for_ever_is_asked_last_the_next_time(
    make_device, server, zone, tmp_path
):
    device, _ = make_device()
    with ZoneServer(zone, tmp_path / "other.pem") as other:
        server.extra = {"servers": [server.url, other.url]}
        device.refresh(loop.now)
        server.refusal = (403, {"error": "This device is retired."})

        with pytest.raises(Refused):
            device.refresh(loop.now)
        device.refresh(loop.now)

        assert len(other.requests) == 1


def test_server_that_names_only_others_is_not_the_last_one_known(make_device, server):
    device, _ = make_device()
    server.extra = {"servers": ["https://127.0.0.1:1"]}
    device.refresh(loop.now)

    assert device.refresh(loop.now) == server.interval


def test_nobody_is_put_to_sleep_for_years(make_device, server):
    device, _ = make_device()
    server.interval = 10**9

    assert device.refresh(loop.now) == MAX_INTERVAL


def test_frozen_server_leaves_the_trust_as_it_is(make_device, server, zone):
    device, _ = make_device()
    server.publish(epoch=EPOCH)
    device.refresh(loop.now)
    before = trust.current(device.home)
    server.manifest = zone.envelope(epoch=EPOCH, expires_at=at(days=-1))

    with pytest.raises(NoAnswer, match="expired"):
        device.refresh(loop.now)

    assert trust.current(device.home) == before


def test_server_that_keeps_the_news_back_is_not_the_only_one_asked(
    make_device, server, zone, tmp_path
):
    device, _ = make_device()
    with ZoneServer(zone, tmp_path / "other.pem") as other:
        for one in (server, other):
            one.extra = {"servers": [server.url, other.url]}
            one.publish(epoch=EPOCH)
        device.refresh(loop.now)
        other.publish(epoch=7)  # `server` stays where it is
        device.refresh(loop.now)
        assert device.state.epoch == EPOCH

        device.refresh(lambda: loop.now() + timedelta(minutes=61))

        assert device.state.epoch == 7


def test_other_server_that_is_away_costs_nothing_but_the_try(make_device, server):
    device, _ = make_device()
    server.extra = {"servers": [server.url, "https://127.0.0.1:1"]}
    device.refresh(loop.now)

    device.refresh(lambda: loop.now() + timedelta(minutes=61))

    assert device.state.servers[0] == server.url
    assert len(server.requests) == 2
