"""Devices that trust no CA of the zone any more, wherever the Certificates page speaks of them."""

import pytest

from certificates.cut_off import cut_off
from devices.models import Device
from tests.certificates import building


@pytest.fixture
def fleet(zone, servers, ca, now):
    """One device that trusts the active CA, one that trusts another, one that has said nothing."""
    trusts = {"well": [ca.sha256], "lost": ["ab" * 32], "new": []}
    for name, fingerprints in trusts.items():
        building.make_device(zone, name, now, kind="workstation", trusted_fingerprints=fingerprints)


def test_only_who_trusts_none_of_the_zones_cas_is_cut_off(zone, fleet):
    found = cut_off(zone)

    assert (found.number, [device.name for device in found.first]) == (1, ["lost"])


def test_retired_device_is_not_looked_for(zone, fleet, now):
    Device.objects.filter(name="lost").update(retired_at=now)

    assert cut_off(zone).number == 0


def test_page_names_it_and_what_brings_it_back(client, alice, zone, fleet):
    client.force_login(alice)

    page = client.get("/certificates/").text

    assert "1 device is cut off." in page
    assert "lost trusts no CA of the zone." in page
    assert "Run the Certificate Updater Tool on 1 device." in page


def test_number_of_queries_does_not_depend_on_how_many(
    zone, fleet, now, django_assert_max_num_queries
):
    for number in range(5):
        building.make_device(
            zone, f"lost-{number}", now, kind="workstation", trusted_fingerprints=["cd" * 32]
        )

    with django_assert_max_num_queries(5):
        assert cut_off(zone).number == 6


def summary_of(client, user, name):
    device = Device.objects.get(name=name)
    Device.objects.filter(pk=device.pk).update(
        last_contact_at=device.enrolled_at.replace(year=2020)
    )
    client.force_login(user)
    return client.get(f"/devices/{device.pk}/").text


def test_its_own_page_does_not_say_to_wait(client, alice, fleet):
    page = summary_of(client, alice, "lost")

    assert "lost cannot come back by itself." in page
    assert "It trusts none of the zone&#x27;s CAs" in page
    assert "do nothing" not in page


@pytest.mark.parametrize("name", ["well", "new"])
def test_page_of_a_silent_device_that_can_come_back_says_to_wait(client, alice, fleet, name):
    page = summary_of(client, alice, name)

    assert "do nothing: it goes on by itself when it is back" in page
    assert "cannot come back" not in page


def test_page_of_a_mobile_without_an_identity_asks_for_a_link(client, alice, zone, fleet, now):
    building.make_device(zone, "phone", now, kind="mobile")

    page = summary_of(client, alice, "phone")

    assert "It has no identity. Make a Re-enrolment link." in page
