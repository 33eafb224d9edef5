"""The devices list: search, filters, sorting and paging, all in the address."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices import folders
from devices.models import Device, Kind

INDEX = "/devices/"


@pytest.fixture(autouse=True)
def signed_in(client, alice):
    client.force_login(alice)


def names(response):
    return [row.name for row in response.context["listing"].page.rows]


def test_list_needs_a_signed_in_user(client):
    client.logout()

    response = client.get(INDEX)

    assert response.status_code == 302
    assert response.url == f"/login/?next={INDEX}"


def test_list_is_sorted_by_name_and_leaves_out_the_retired(client, make_device, now):
    make_device("b")
    make_device("a")
    make_device("gone", retired_at=now)

    assert names(client.get(INDEX)) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["osl", "osl.test.zone", "10.9.8", "7c1e9a40-3f0b-4d6e-9a55-21b7c0de4f83"]
)
def test_search_finds_name_dns_name_address_and_guid(client, make_device, text):
    guid = "7c1e9a40-3f0b-4d6e-9a55-21b7c0de4f83"
    make_device("osl", addresses=["10.9.8.7"], guid=guid)
    make_device("ber")

    assert names(client.get(INDEX, {"q": text})) == ["osl"]


@pytest.mark.parametrize("text", ["50%", "a_b", '"osl"', "OR", "osl*", "q\0q", "{}"])
def test_search_takes_every_character_as_itself(client, make_device, text):
    make_device("first")
    make_device("x " + text.replace("\0", ""))
    make_device("50 axb osl {")

    assert names(client.get(INDEX, {"q": text})) == ["x " + text.replace("\0", "")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"folder": "servers"}, ["auth", "primary"]),
        ({"folder": "workstations"}, ["silent"]),
        ({"folder": "retired"}, ["gone"]),
        ({"role": "primary"}, ["primary"]),
        ({"role": "authentication"}, ["auth"]),
        ({"contact": "long"}, ["silent"]),
        ({"contact": "day"}, ["auth", "primary"]),
        ({"folder": "nonsense", "role": "nonsense"}, ["auth", "primary", "silent"]),
    ],
)
def test_filters(client, make_device, now, query, found):
    make_device("primary", kind=Kind.PRIMARY_SERVER)
    make_device("auth", kind=Kind.SERVER, is_authentication_satellite=True)
    make_device("silent", last_contact_at=now - timedelta(days=40))
    make_device("gone", retired_at=now)

    assert names(client.get(INDEX, query)) == found


def test_sub_folder_is_a_filter_with_all_below_it(client, zone, make_device, now):
    for path in ("/Workstations/Oslo", "/Workstations/Oslo/Lab", "/Servers/Oslo"):
        folders.ensure(zone, path, by=None, now=now)
    make_device("a", folder="/Workstations/Oslo")
    make_device("b", folder="/Workstations/Oslo/Lab")
    make_device("c", folder="/Servers/Oslo", kind=Kind.SERVER)
    make_device("d")

    page = client.get(INDEX, {"folder": "workstations", "in": "/Workstations/Oslo"})

    assert names(page) == ["a", "b"]
    assert "/Servers/Oslo" not in page.context["listing"].choices[0].options
    assert names(client.get(INDEX, {"in": "/Workstations/Nowhere"})) == ["a", "b", "c", "d"]


def test_devices_that_trust_the_same_cas_are_a_filter(client, make_device):
    one = make_device("a", trusted_fingerprints=["f" * 64])
    make_device("b", trusted_fingerprints=["e" * 64, "f" * 64])
    make_device("c", trusted_fingerprints=["f" * 64])

    page = client.get(INDEX, {"trust": one.trust_set})

    assert names(page) == ["a", "c"]
    assert "Trusts: <b>one set of CAs</b>" in page.text
    assert names(client.get(INDEX, {"trust": "nonsense"})) == ["a", "b", "c"]


def test_set_of_cas_follows_the_report(make_device):
    device = make_device("a", trusted_fingerprints=["f" * 64])
    before = device.trust_set
    rows = Device.objects.filter(pk=device.pk)

    rows.update(trusted_fingerprints=[])

    assert rows.get().trust_set not in (before, "")


def test_tabs_count_each_folder(client, make_device, now):
    make_device("primary", kind=Kind.PRIMARY_SERVER)
    make_device("a")
    make_device("gone", retired_at=now)

    tabs = client.get(INDEX).context["listing"].tabs

    assert [(tab.label, tab.number) for tab in tabs] == [
        ("All", 2),
        ("Servers", 1),
        ("Workstations", 1),
        ("Mobile Devices", 0),
        ("Retired", 1),
    ]


@pytest.mark.parametrize("sort", ["name", "-name", "contact", "-contact"])
def test_every_device_is_on_exactly_one_page_forwards_and_backwards(client, make_device, now, sort):
    for number in range(120):
        heard = now - timedelta(minutes=number // 3) if number % 7 else None
        make_device(f"d{number:03}", last_contact_at=heard)

    page = client.get(INDEX, {"sort": sort}).context["listing"].page
    pages = [page]
    while page.next:
        page = client.get(INDEX, {"sort": sort, "after": page.next}).context["listing"].page
        pages.append(page)
    back = [page]
    while page.previous:
        page = client.get(INDEX, {"sort": sort, "before": page.previous}).context["listing"].page
        back.insert(0, page)

    assert [len(page.rows) for page in pages] == [50, 50, 20]
    assert len({row.pk for page in pages for row in page.rows}) == 120
    assert [page.rows for page in back] == [page.rows for page in pages]


@pytest.mark.parametrize("cursor", ["", "~", "x~y", "2026~3", "~9999999999999999999999"])
def test_cursor_that_makes_no_sense_shows_the_first_page(client, make_device, cursor):
    make_device("a")

    response = client.get(INDEX, {"sort": "contact", "after": cursor})

    assert names(response) == ["a"]


def test_number_of_queries_does_not_grow_with_the_devices(
    client, make_device, make_update, django_assert_max_num_queries
):
    for number in range(45):
        make_device(f"d{number:03}")
    make_update(assigned=True)

    with django_assert_max_num_queries(15):
        response = client.get(INDEX)

    assert len(names(response)) == 46


def test_list_says_when_nothing_matches_and_when_nothing_is_there(client, make_device):
    empty = client.get(INDEX)
    make_device("a")
    narrowed = client.get(INDEX, {"q": "zzz", "role": "content"})

    assert "No devices have joined yet" in empty.text
    assert "No device matches “zzz”" in narrowed.text
    assert "1 filter is on: Role: Content Satellite." in narrowed.text


def test_search_text_is_shown_as_text(client):
    response = client.get(INDEX, {"q": "<script>alert(1)</script>"})

    assert "<script>alert" not in response.text


def test_address_of_a_page_keeps_the_filters(client, make_device):
    for number in range(51):
        make_device(f"d{number:03}")

    response = client.get(INDEX, {"q": "d0", "role": ""})

    assert "?q=d0&amp;role=&amp;after=d049" in response.text
    assert reverse("devices:index") == INDEX


def test_tabs_give_no_numbers_of_devices_that_the_search_leaves_out(client, make_device):
    make_device("a")
    make_device("b")

    assert 'All <span class="z-count">2</span>' in client.get(INDEX).text
    assert "z-count" not in client.get(INDEX, {"q": "a"}).text.split("z-tabs")[1].split("</ul>")[0]
