"""An Authentication Satellite's certificates, refresh by refresh: its agent's part and ours."""

import pytest

from agent import satellite
from certificates import api
from certificates.actions import roles
from certificates.models import ServerCertificate
from devices.models import Device
from zcc.ground import clock


def test_first_certificate_is_asked_for_issued_and_installed(make_satellite):
    auth1 = make_satellite()

    auth1.refresh(4)

    assert auth1.certificates == [("current", None)]
    assert auth1.shows_its_row()


def test_satellite_that_enrols_during_an_operation_gets_both_one_after_the_other(
    living, make_satellite
):
    operation = living.reach("assigned")
    auth1 = make_satellite()

    auth1.refresh(8)

    assert auth1.certificates == [("current", None), ("future", operation.pk)]
    assert auth1.shows_its_row()
    future = ServerCertificate.objects.get(device=auth1.row, state="future")
    assert auth1.home.staged().leaf_sha256 == future.sha256
    assert operation.servers.get(device=auth1.row).staged_at is not None


def test_satellite_that_switched_is_recorded(make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)

    operation = auth1.switch()

    assert auth1.certificates == [("previous", None), ("current", operation.pk)]
    assert operation.servers.get(device=auth1.row).activated_at is not None


def test_satellite_away_until_after_the_retirement_still_gets_the_new_certificate(
    living, make_satellite
):
    auth1 = make_satellite()
    auth1.refresh(4)
    operation = living.reach("completed")

    auth1.refresh(4)

    assert auth1.home.staged().operation == str(operation.guid)


def test_satellite_that_lost_its_home_asks_anew(living, make_satellite, tmp_path):
    auth1 = make_satellite()
    auth1.refresh(4)

    auth1.move_into(tmp_path / "devices/again")
    auth1.refresh(5)

    assert auth1.certificates == [("previous", None), ("current", None)]
    assert auth1.shows_its_row()


def test_names_come_from_the_record_whatever_the_request_says(make_satellite):
    auth1 = make_satellite()
    auth1.refresh()
    auth1.slots[0] |= {"dns_names": ["ps1.test.zone"], "ip_addresses": ["127.99.0.1"]}

    auth1.refresh(4)

    issued = ServerCertificate.objects.current().get(device=auth1.row)
    assert issued.facts["alternative_names"] == [
        "DNS: auth1.test.zone",
        "IP: 127.99.0.12",
    ]


@pytest.mark.parametrize("wrong", ["", "AAAA", "!!", "A" * 100_000])
def test_bad_request_is_passed_over_and_asked_for_again(make_satellite, wrong):
    auth1 = make_satellite()
    entry = {"slot": "current", "operation": None, "csr": wrong, "leaf": None, "state": "requested"}

    api.record(Device.objects.get(pk=auth1.row.pk), {"certificates": [entry]}, now=clock.now())

    assert auth1.certificates == []
    auth1.refresh(4)
    assert auth1.shows_its_row()


def test_workstation_gets_no_certificate_however_it_asks(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh()
    report = {"certificates": satellite.report(auth1.home, auth1.slots)}
    ws1 = Device.objects.get(name="ws1")

    api.record(ws1, report, now=clock.now())

    assert not ServerCertificate.objects.filter(device=ws1).exists()


def test_role_given_later_brings_a_certificate_and_given_again_another(living, make_satellite):
    auth1, now = make_satellite(), clock.now()
    auth1.refresh(4)
    roles.set_roles(auth1.row, content=False, authentication=False, by=None, now=now)
    taken = auth1.certificates
    roles.set_roles(auth1.row, content=False, authentication=True, by=None, now=now)
    auth1.row.refresh_from_db()

    auth1.refresh(4)

    assert taken == [("previous", None)]
    assert auth1.certificates == [("previous", None), ("current", None)]
    assert auth1.shows_its_row()
