"""An Authentication Satellite: requests, staging, arming, the switch, and cancelling."""

import base64
from datetime import timedelta

import pytest
from cryptography import x509

from agent import loop, pem
from agent.loop import Bell, Loop
from tests.agent.zone import NOW


def slot(name, operation=None, **chain):
    names = {"subject_dns": "auth1.demo.zone", "dns_names": ["auth1.demo.zone"]}
    nothing = {"chain": None, "ca": None, "link": None, "bridge": None}
    wanted = {"slot": name, "operation": operation, "key_type": "ec-p256"}
    return {**wanted, **names, "ip_addresses": ["127.0.0.1"], **nothing, **chain}


def reported(device, server, name):
    """What the device reported last about a slot."""
    return next(entry for entry in server.requests[-1]["certificates"] if entry["slot"] == name)


def issue(ca, report):
    request = x509.load_der_x509_csr(base64.b64decode(report["csr"]))
    assert request.is_signature_valid

    class Key:
        def public_key(self):
            return request.public_key()

    return ca.issue(Key(), name="auth1.demo.zone").decode()


def turn(device, times=1):
    running = Loop(device, Bell())
    for _ in range(times):
        running.turn()


@pytest.fixture
def satellite(make_device, server, zone):
    """A Satellite with a certificate of the old CA."""
    device, _ = make_device(roles=["authentication"])
    server.extra = {"certificates": [slot("current")]}
    turn(device, 2)
    chain = issue(zone.old, reported(device, server, "current"))
    server.extra = {"certificates": [slot("current", chain=chain, ca=zone.old.pem.decode())]}
    turn(device, 2)
    return device


@pytest.fixture
def staged(satellite, server, zone):
    """The same, with a certificate of the new CA staged."""
    current = server.extra["certificates"][0]
    server.extra = {"certificates": [current, slot("future", zone.operation)]}
    server.publish(epoch=2, anchors=[zone.old.pem, zone.new.pem], update=zone.update())
    turn(satellite, 2)
    future = slot(
        "future",
        zone.operation,
        chain=issue(zone.new, reported(satellite, server, "future")),
        ca=zone.new.pem.decode(),
        link=zone.link.decode(),
        bridge=zone.bridge.decode(),
    )
    server.extra = {"certificates": [current, future]}
    turn(satellite, 2)
    return satellite


def test_first_certificate_is_asked_for_and_installed(satellite, server):
    report = reported(satellite, server, "current")

    assert (report["state"], report["csr"]) == ("active", None)
    assert report["leaf"] == satellite.home.live().leaf_sha256
    assert reported(satellite, server, "future")["state"] == "clean"


def test_future_certificate_is_staged_and_changes_nothing_live(staged, server, zone):
    report = reported(staged, server, "future")

    assert (report["state"], report["operation"]) == ("staged", zone.operation)
    assert report["leaf"] == staged.home.staged().leaf_sha256
    assert len(pem.split(staged.home.live().chain_pem)) == 1


def test_armed_satellite_sends_the_bridge(staged, server, zone):
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem], update=zone.update(armed=True))

    turn(staged, 2)

    assert pem.split(staged.home.live().chain_pem)[1:] == pem.split(zone.bridge)
    assert reported(staged, server, "future")["state"] == "armed"


def test_due_satellite_switches_and_sends_the_link(staged, server, zone):
    update = zone.update(armed=True, activate_at=NOW - timedelta(minutes=1))
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem], update=update)

    turn(staged, 2)

    assert pem.split(staged.home.live().chain_pem)[1:] == pem.split(zone.link)
    report = reported(staged, server, "current")
    assert (report["state"], report["operation"]) == ("active", zone.operation)


def test_armed_satellite_switches_without_any_server(staged, server, zone):
    update = zone.update(armed=True, activate_at=loop.now() + timedelta(seconds=60))
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem], update=update)
    turn(staged)
    server.refusal = (503, {"error": "down"})
    staged.state.offset = 3600  # an hour later

    turn(staged)

    assert staged.home.live().operation == zone.operation


def test_cancelled_operation_leaves_nothing(staged, server, zone):
    server.extra = {"certificates": server.extra["certificates"][:1]}
    server.publish(epoch=3, anchors=[zone.old.pem])

    turn(staged, 2)

    assert list((staged.home.path / "remint-repo").iterdir()) == []
    assert reported(staged, server, "future")["state"] == "clean"
    assert len(pem.split(staged.home.live().chain_pem)) == 1


def test_retirement_drops_the_link(staged, server, zone):
    update = zone.update(armed=True, activate_at=NOW - timedelta(minutes=1))
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem], update=update)
    turn(staged, 2)
    server.show(zone.new)
    staged.home.write_file("trust.pem", zone.old.pem + zone.new.pem)
    server.publish(epoch=4, anchors=[zone.new.pem])

    turn(staged, 2)

    assert len(pem.split(staged.home.live().chain_pem)) == 1
    assert list((staged.home.path / "previous").iterdir()) == []
