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
