"""Silent is one thing: by the device's own schedule, of one device and of all, on every page."""

from datetime import timedelta

import pytest
from django.db.models import Q

from certificates.answers import answers
from certificates.attention import NeedsAttention
from certificates.devices_at_risk import AtRisk
from certificates.models import CertificateAuthority
from certificates.standing import Standing
from devices import standing
from devices.listing import silent_url
from devices.models import Device, Folder, Kind

INDEX = "/devices/"
HOUR = timedelta(hours=1)
MARGIN = timedelta(seconds=90)


@pytest.fixture(autouse=True)
def signed_in(client, alice):
    client.force_login(alice)


@pytest.fixture
def listed(client):
    """The names of the devices that an address lists."""

    def look(url):
        return [row.name for row in client.get(url).context["listing"].page.rows]

    return look


@pytest.fixture
def fleet(zone, make_device, now):
    """Devices of every schedule, each once within its limit and once past it."""
    zone.folders.bulk_create(
        Folder(zone=zone, path=path, refresh_interval=hours and hours * HOUR)
        for path, hours in (
            ("/Workstations/Oslo", 2),
            ("/Workstations/Oslo/Fast", 1),
            ("/Workstations/Oslo/Fast/Same", None),
            ("/Servers", 3),
        )
    )
    kinds = [
        ({}, 24 * HOUR),
        ({"folder": "/Workstations/Oslo"}, 4 * HOUR),
        ({"folder": "/Workstations/Oslo/Fast/Same"}, 2 * HOUR),
        ({"folder": "/Workstations/Oslo", "refresh_interval": 5 * HOUR}, 10 * HOUR),
        ({"kind": Kind.SERVER}, 6 * HOUR),
        ({"kind": Kind.MOBILE}, 24 * HOUR),
        ({"kind": Kind.PRIMARY_SERVER}, timedelta(minutes=1)),
    ]
    for number, (columns, limit) in enumerate(kinds):
        limit += standing.SLACK
        make_device(f"in{number}", last_contact_at=now - limit + MARGIN, **columns)
        make_device(f"out{number}", last_contact_at=now - limit - MARGIN, **columns)
    make_device("new", last_contact_at=None)
    make_device("gone", last_contact_at=now - 999 * HOUR, retired_at=now)


def test_of_many_devices_it_says_what_it_says_of_each(fleet, zone, now):
    found = Device.objects.filter(standing.silent(zone, now=now))

    each = [row for row in Device.objects.all() if standing.standing(row, now=now).is_silent]
    assert {row.name for row in found} == {row.name for row in each}
    assert {row.name for row in each} == {f"out{number}" for number in range(7)}


def test_list_of_the_silent_ones_says_what_the_word_means(fleet, client, listed):
    assert listed(silent_url()) == [f"out{number}" for number in range(7)]
    assert listed(silent_url("any")) == ["out6"]
    assert listed(f"{silent_url()}&folder=retired") == []
    said = "Silent: not heard of for twice the refresh interval; a Primary Server"
    assert said in client.get(silent_url()).text
    assert said not in client.get(f"{INDEX}?contact=not").text


def test_other_times_of_last_contact_do_not_call_anybody_silent(client, listed, make_device, now):
    make_device("yesterday", last_contact_at=now - 25 * HOUR, refresh_interval=48 * HOUR)

    assert listed(f"{INDEX}?contact=not") == ["yesterday"]
    assert listed(silent_url()) == []


def test_count_leads_to_the_list_of_exactly_these(fleet, zone, now, listed):
    CertificateAuthority.objects.create(
        zone=zone,
        kind="internal",
        state="active",
        generation=1,
        server=Device.objects.get(name="in6"),
        created_at=now,
        valid_from=now,
        expires_at=now + 9999 * HOUR,
    )
    looked = Standing(zone, now=now)
    # These are said before all others.
    Device.objects.filter(Q(name="out6") | Q(kind=Kind.MOBILE)).delete()

    said = answers(looked, [], AtRisk(), NeedsAttention(looked)).all_right

    number = len(listed(said.more_url))
    assert (said.family, number) == ("ok", 5)
    assert said.more == f"5 of 12 devices are silent: {standing.MEANING}."


def test_silent_device_says_what_the_word_means(client, make_device, now):
    device = make_device("osl", last_contact_at=now - 99 * HOUR)
    server = make_device("ps", kind=Kind.PRIMARY_SERVER, last_contact_at=now - 99 * HOUR)

    page = client.get(f"{INDEX}{device.pk}/").text
    of_server = client.get(f"{INDEX}{server.pk}/").text

    assert "osl is silent: it was heard of last" in page
    assert f'title="Silent: {standing.MEANING}, which is 12 h."' in page
    assert "and should refresh every" not in of_server


@pytest.mark.parametrize("value", ["", "yesterday", "2026-11-28T10:00", "0001-01-01T00:00+14:00"])
def test_instant_that_is_none_narrows_nothing(listed, make_device, value):
    make_device("osl")

    assert listed(f"{INDEX}?before={value.replace('+', '%2B')}") == ["osl"]


def test_devices_not_heard_of_since_an_instant_are_listed(listed, client, make_device, now):
    make_device("before", last_contact_at=now - 3 * HOUR)
    make_device("after", last_contact_at=now - HOUR)
    make_device("never", last_contact_at=None)
    at = (now - 2 * HOUR).isoformat().replace("+", "%2B")

    assert listed(f"{INDEX}?before={at}") == ["before", "never"]
    assert "Last contact:" in client.get(f"{INDEX}?before={at}").text
