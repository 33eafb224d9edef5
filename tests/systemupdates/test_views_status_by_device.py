"""Status by Device, and its buttons Redeploy and Ignore Device."""

from datetime import timedelta

import pytest

from devices import folders
from devices.models import Device
from systemupdates import actions, status_by_device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State


@pytest.fixture
def update(make_device, make_update, zone, now):
    folders.ensure(zone, "/Workstations/Oslo", by=None, now=now)
    for name in ("a", "b", "c"):
        make_device(name, folder="/Workstations/Oslo" if name == "b" else "/")
    update = make_update(assigned=True)
    failed = update.device_updates.filter(device__name="a")
    failed.move(to=State.FAILED, by=None, at=now, reason="Disk full.")
    return update


def url(update, button="devices"):
    return f"/system-updates/{update.pk}/{button}/"


def names(response):
    return [row.device.name for row in response.context["listing"].page.rows]


def pks(*names):
    return list(
        DeviceUpdate.objects.filter(device__name__in=names).values_list("device", flat=True)
    )


def state_of(name):
    return DeviceUpdate.objects.get(device__name=name).state


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["a", "b", "c", "ps1"]),
        ({"status": "failed"}, ["a"]),
        ({"status": "assigned", "q": "b"}, ["b"]),
        ({"count": "pending"}, ["b", "c", "ps1"]),
        ({"count": "successful"}, []),
        ({"status": "nonsense"}, ["a", "b", "c", "ps1"]),
        ({"sort": "-name"}, ["ps1", "c", "b", "a"]),
        ({"kind": "primary"}, ["ps1"]),
        ({"kind": "workstation", "status": "assigned", "q": "c"}, ["c"]),
        ({"kind": "nonsense"}, ["a", "b", "c", "ps1"]),
        ({"folder": "/Servers"}, ["ps1"]),
        ({"folder": "/Workstations/Oslo"}, ["b"]),
        ({"folder": "/Workstations", "status": "assigned", "q": "b"}, ["b"]),
        ({"folder": "/nowhere"}, ["a", "b", "c", "ps1"]),
    ],
)
def test_filters_are_in_the_address(client, bob, update, query, found):
    client.force_login(bob)

    assert names(client.get(url(update), query)) == found


@pytest.mark.parametrize("sort", ["name", "-name", "contact", "-contact"])
@pytest.mark.parametrize(
    "narrow",
    [
        {},
        {"status": "assigned"},
        {"count": "pending"},
        {"status": "failed", "count": "pending"},
        {"status": "failed", "count": "failed"},
        {"kind": "workstation", "q": "d"},
        {"q": "d10"},
        {"status": "assigned", "q": "no such device"},
        {"folder": "/Workstations/Oslo"},
    ],
)
def test_long_list_has_the_same_pages_as_a_short_one(update, make_device, now, narrow, sort):
    for number in range(110):
        heard = now - timedelta(minutes=number * 7 % 30) if number % 9 else None
        device = make_device(f"d{number:03}", last_contact_at=heard)
        actions.add_late_comer(update, device, now=now)
    Device.objects.filter(name__in=["d003", "d050"]).update(retired_at=now)

    for few in (0, 1000):
        query, found = {**narrow, "sort": sort}, []
        while True:
            page = status_by_device.listing(update, query, now=now, few=few).page
            found.append([row.device.name for row in page.rows])
            if page.next is None:
                break
            query["after"] = page.next
        if few == 0:
            picked = found
    assert picked == found


@pytest.mark.parametrize("sort", ["name", "-contact", "changed"])
@pytest.mark.parametrize("narrow", [{}, {"q": "ps1"}, {"status": "assigned", "kind": "primary"}])
def test_long_list_makes_as_many_queries_as_a_short_one(
    update, now, django_assert_num_queries, narrow, sort
):
    for few in (0, 1000):
        with django_assert_num_queries(6 if "q" in narrow else 4):
            status_by_device.listing(update, {**narrow, "sort": sort}, now=now, few=few)


def test_chips_count_each_status(client, bob, update):
    client.force_login(bob)

    chips = client.get(url(update)).context["listing"].chips

    assert [(chip.word, chip.number) for chip in chips] == [
        ("Update Failed", 1),
        ("Update Assigned", 3),
    ]


def test_chips_count_the_chosen_kind(client, bob, update):
    client.force_login(bob)

    chips = client.get(url(update), {"kind": "workstation"}).context["listing"].chips

    assert [(chip.word, chip.number) for chip in chips] == [
        ("Update Failed", 1),
        ("Update Assigned", 2),
    ]


def test_retired_device_is_in_no_count_and_no_list(client, bob, update, now):
    Device.objects.filter(name__in=["a", "b"]).update(retired_at=now)
    client.force_login(bob)

    listing = client.get(url(update)).context["listing"]

    assert [row.device.name for row in listing.page.rows] == ["c", "ps1"]
    assert [(chip.word, chip.number) for chip in listing.chips] == [("Update Assigned", 2)]
    assert (listing.counts.total, listing.counts.failed) == (2, 0)


def test_filters_that_are_on_are_named_when_nothing_matches(client, bob, update):
    client.force_login(bob)

    text = client.get(url(update), {"status": "assigned", "kind": "mobile"}).text

    assert "2 filters are on: Update Assigned, Kind: Mobile device." in text


def test_reason_of_a_failure_is_shown(client, bob, update):
    client.force_login(bob)

    assert "Disk full." in client.get(url(update)).text


def test_list_is_polled_while_a_device_is_on_its_way(client, bob, update, now):
    client.force_login(bob)
    before = client.get(url(update))
    update.device_updates.all().move(to=State.IGNORED, by=None, at=now)
    after = client.get(url(update))

    assert "every 5s" in before.text
    assert "every 5s" not in after.text


def test_number_of_queries_does_not_grow_with_the_devices(
    client, bob, update, make_device, now, django_assert_max_num_queries
):
    for number in range(40):
        actions.add_late_comer(update, make_device(f"d{number}"), now=now)
    client.force_login(bob)

    with django_assert_max_num_queries(16):
        response = client.get(url(update))

    assert len(names(response)) == 44


def test_redeploy_starts_the_update_again(client, alice, update):
    client.force_login(alice)

    response = client.post(url(update, "redeploy"), {"device": pks("a")}, follow=True)

    row = DeviceUpdate.objects.get(device__name="a")
    assert (row.state, row.attempt) == (State.ASSIGNED, 2)
    assert row.events.last().by == alice
    assert "a starts the update again" in response.text


def test_ignore_device_leaves_it_out(client, alice, update):
    client.force_login(alice)

    client.post(url(update, "ignore"), {"device": pks("a", "b")})

    assert [state_of(name) for name in "abc"] == [State.IGNORED, State.IGNORED, State.ASSIGNED]
    assert DeviceUpdate.objects.get(device__name="b").events.last().by == alice


@pytest.mark.parametrize("button", ["redeploy", "ignore"])
def test_buttons_are_not_for_who_may_only_look(client, bob, update, button):
    client.force_login(bob)

    response = client.post(url(update, button), {"device": pks("a")})

    assert response.status_code == 403
    assert state_of("a") == State.FAILED


@pytest.mark.parametrize("button", ["redeploy", "ignore"])
@pytest.mark.parametrize("device", [[], ["77"], ["x"]])
def test_devices_that_make_no_sense_change_nothing(client, alice, update, button, device):
    client.force_login(alice)

    client.post(url(update, button), {"device": device})

    assert state_of("a") == State.FAILED


def test_redeploy_of_a_withdrawn_update_says_why_not(client, alice, update, now):
    client.force_login(alice)
    update.withdraw(by=alice, at=now, devices={})

    response = client.post(url(update, "redeploy"), {"device": pks("a")}, follow=True)

    assert "is canceled. Nothing has changed." in response.text
    assert state_of("a") == State.FAILED


@pytest.mark.parametrize("where", ["https://elsewhere.test/", "//elsewhere.test", "javascript:1"])
def test_the_way_back_stays_in_the_console(client, alice, update, where):
    client.force_login(alice)

    response = client.post(url(update, "ignore"), {"device": pks("a"), "next": where})

    assert response.url == url(update)


def test_what_is_ignored_can_be_taken_in_again_by_a_button_that_says_so(client, alice, update):
    client.force_login(alice)
    (pk,) = pks("b")
    told = client.post(url(update, "ignore"), {"device": pk}, follow=True).text

    listed = client.get(f"{url(update)}?status=ignored").text
    tab = client.get(f"/devices/{pk}/updates/").text
    client.post(url(update, "redeploy"), {"device": pk})

    assert "b is left out: it keeps the trust it has, until you stop ignoring it." in told
    for page in (listed, tab):
        assert "Stop ignoring" in page
        assert "Redeploy" not in page
        assert "/ignore/" not in page
    assert state_of("b") == State.ASSIGNED
    assert "Stop ignoring" not in client.get(f"/devices/{pk}/updates/").text


def test_folders_to_choose_from_stand_below_their_own(client, bob, update):
    client.force_login(bob)

    listing = client.get(url(update)).context["listing"]

    offered = listing.wanted.folders
    assert offered == ["/Servers", "/Workstations", "/Workstations/Oslo", "/Mobile Devices"]
