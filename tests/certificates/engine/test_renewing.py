"""`Remint Server Certificate` in rows and files, and what becomes outdated."""

from contextlib import suppress
from datetime import timedelta

import pytest

from agent import faults
from certificates import due, outdated, renewing
from certificates.actions import csrs, server_certificates
from certificates.models import ServerCertificate
from devices.models import Device
from pki import keys as pki_keys
from tests.certificates.engine.importing_stories import connect, leaf_of, listening
from zcc.ground import clock


def remint(living, *names):
    devices = list(Device.objects.filter(name__in=names).select_related("zone"))
    server_certificates.remint(devices, by=living.alice, now=clock.now())


def current(name):
    return ServerCertificate.objects.current().get(device__name=name)


def ca_pem(home):
    return home.read_file("security/ca.cert")


def test_server_gets_a_fresh_key_and_certificate_with_its_names_of_today(living, homes):
    before = homes["ps2"].read_file("security/server.key")
    Device.objects.filter(name="ps2").update(additional_dns_names=["portal.test.zone"])

    remint(living, "ps2")
    living.run()

    row = current("ps2")
    assert homes["ps2"].live().leaf_sha256 == row.sha256
    assert homes["ps2"].read_file("security/server.key") != before
    assert homes["ps2"].read_file("security/requested.der") is None
    assert "DNS: portal.test.zone" in row.facts["alternative_names"]
    assert (row.authority, row.asked_by) == (living.ca, living.alice)
    states = ServerCertificate.objects.filter(device__name="ps2").order_by("pk")
    assert list(states.values_list("state", flat=True)) == ["previous", "current"]


def test_open_connection_goes_on_and_the_next_sees_the_fresh_certificate(living, homes):
    with listening(homes["ps2"]) as port:
        trusted = ca_pem(homes["ps2"])
        open_one = connect(port, trusted=trusted, name="ps2.test.zone")
        before = leaf_of(open_one)

        remint(living, "ps2")
        living.run()

        open_one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert open_one.recv(12).startswith(b"HTTP/1.1")
        with connect(port, trusted=trusted, name="ps2.test.zone") as fresh:
            assert leaf_of(fresh) == current("ps2").sha256 != before
        open_one.close()


def test_satellite_gets_its_own_at_its_next_refreshes(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)
    before = auth1.home.live().leaf_sha256

    remint(living, "auth1")
    auth1.refresh(4)

    assert auth1.shows_its_row()
    assert auth1.home.live().leaf_sha256 != before
    assert auth1.certificates == [("previous", None), ("current", None)]


def test_satellite_renews_a_certificate_that_an_operation_has_brought(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)
    operation = auth1.switch()
    before = auth1.home.live().leaf_sha256

    remint(living, "auth1")
    auth1.refresh(4)

    assert auth1.shows_its_row()
    assert auth1.home.live().leaf_sha256 != before
    assert auth1.certificates[1:] == [("previous", operation.pk), ("current", None)]


RENEWING = ["file.written", "file.renamed", "planned", "signed"]  # then what makes it live
RENEWING += [f"{place}:{nth}" for place in ("file.written", "file.renamed") for nth in (2, 3, 4, 5)]


@pytest.mark.parametrize("fault", [*RENEWING, "file.removed"])
def test_renewal_that_breaks_off_ends_with_one_pair_that_fits(living, homes, monkeypatch, fault):
    before = current("ps2")
    remint(living, "ps2")
    place, _, nth = fault.partition(":")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{place}:raise:{nth or 1}")
    with suppress(OSError):
        living.run(turns=4)
        broken_off = ServerCertificate.objects.coming().get()
        assert broken_off.reason == f"Fault asked for at {place}."
    shown = homes["ps2"].live().leaf_sha256
    monkeypatch.delenv("ZCC_FAULTS")
    ServerCertificate.objects.coming().update(lease_until=clock.now(), retry_at=None)

    living.run()

    row = current("ps2")
    assert shown in (before.sha256, row.sha256) and before.sha256 != row.sha256
    assert homes["ps2"].live().leaf_sha256 == row.sha256
    key = pki_keys.load(homes["ps2"].read_file("security/server.key"))
    assert pki_keys.same_key(row.x509(), key)
    assert homes["ps2"].read_file("security/requested.der") is None
    assert not ServerCertificate.objects.coming().exists()


def test_server_that_is_away_does_it_when_it_is_back(living, homes):
    living.fall_silent("ps3")
    before = homes["ps3"].live()
    remint(living, "ps3")
    living.run()
    assert homes["ps3"].live() == before

    living.beat("ps3")
    living.run()

    assert homes["ps3"].live().leaf_sha256 == current("ps3").sha256 != before.leaf_sha256


def test_certificate_is_renewed_by_itself_at_two_thirds_of_its_life(living, homes):
    row = current("ps2")
    life = row.expires_at - row.valid_from
    rows = ServerCertificate.objects.filter(pk=row.pk)
    rows.update(valid_from=row.valid_from - life * 2 / 3, expires_at=row.expires_at - life * 2 / 3)

    living.run()

    fresh = current("ps2")
    assert fresh.pk != row.pk
    assert fresh.asked_by is None
    assert homes["ps2"].live().leaf_sha256 == fresh.sha256


@pytest.mark.parametrize(("days", "expected"), [(264, []), (266, ["ps1", "ps2", "ps3"])])
def test_two_thirds_of_397_days(living, days, expected):
    at = current("ps1").valid_from + timedelta(days=days)

    due_then = renewing.due_by_itself(living.zone, now=at)

    assert [device.name for device in due_then] == expected


def test_nothing_is_renewed_that_would_hardly_last_longer(living):
    ca, row = living.ca, current("ps1")
    at = row.expires_at - timedelta(days=1)
    type(ca).objects.filter(pk=ca.pk).update(expires_at=row.expires_at + timedelta(days=10))

    assert renewing.due_by_itself(living.zone, now=at) == []


def test_zone_at_rest_has_nothing_to_renew(living):
    assert list(due.rings(living.zone, now=clock.now())) == []


# Outdated


@pytest.fixture
def renamed(living):
    """An assigned remint in which ps2 has got another name since."""
    operation = living.reach("assigned")
    Device.objects.filter(name="ps2").update(dns_name="ps2.new.zone")
    return operation


def test_new_name_makes_the_future_certificate_outdated_and_holds(living, renamed):
    assert [server.name for server in outdated.outdated_servers(renamed)] == ["ps2"]

    living.run(at=renamed.activate_at - timedelta(minutes=9))

    renamed.refresh_from_db()
    assert renamed.state == "assigned"
    assert "certificate of ps2 is outdated: its names have changed" in renamed.held_reason


def test_outdated_certificate_is_made_anew_for_the_same_key_and_staged(living, homes, renamed):
    key = homes["ps2"].read_file("remint-repo/key.der")
    before = homes["ps2"].staged()

    device = Device.objects.get(name="ps2")
    csrs.reissue(renamed, device, by=living.alice, now=clock.now())
    living.run()

    assert outdated.outdated_servers(renamed) == []
    assert homes["ps2"].staged() != before
    assert homes["ps2"].read_file("remint-repo/key.der") == key
    future = ServerCertificate.objects.get(device=device, state="future")
    assert "DNS: ps2.new.zone" in future.facts["alternative_names"]
    assert renamed.events.last().by == living.alice
    living.run(at=renamed.activate_at - timedelta(minutes=9))
    renamed.refresh_from_db()
    assert renamed.state == "armed"
