"""`Download CSV` of Status by Device."""

import csv

import pytest

from systemupdates import actions
from systemupdates.models.device_update import State


@pytest.fixture
def update(make_device, make_update, now):
    make_device("a", addresses=["10.0.0.1", "fd00::1"], trusted_fingerprints=["f" * 64])
    make_device("b", last_contact_at=None)
    make_device("gone", retired_at=now)
    return make_update(assigned=True)


def lines(client, update, **query):
    response = client.get(f"/system-updates/{update.pk}/devices/download/", query)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(response.getvalue().decode().splitlines()))


def test_every_device_that_counts_is_a_line(client, bob, update):
    client.force_login(bob)

    first, *others = lines(client, update)

    assert [line["Device"] for line in others] == ["b", "ps1"]
    assert first["IP addresses"] == "10.0.0.1, fd00::1"
    assert first["Update Status"] == "Update Assigned"
    assert first["Folder"] == "/Workstations"
    assert (first["Trusts (CAs)"], first["Kind"]) == ("1", "Workstation")


def test_filters_and_order_of_the_page_hold(client, bob, update):
    client.force_login(bob)

    found = lines(client, update, kind="workstation", sort="-name", after="a~1")

    assert [line["Device"] for line in found] == ["b", "a"]


def test_filters_that_leave_nothing_leave_the_head(client, bob, update):
    client.force_login(bob)

    assert lines(client, update, status="failed") == []


def test_name_is_no_formula(client, bob, update, make_device, now):
    actions.add_late_comer(update, make_device('=HYPERLINK("http://x")'), now=now)
    rows = update.device_updates.filter(device__name="b")
    rows.move(to=State.FAILED, by=None, at=now, reason="+1 disk, full")
    client.force_login(bob)

    found = {line["Device"]: line["Reason"] for line in lines(client, update)}

    assert found["b"] == "'+1 disk, full"
    assert """'=HYPERLINK("http://x")""" in found


def test_it_takes_the_same_queries_for_more_devices(
    client, bob, update, make_device, now, django_assert_max_num_queries
):
    client.force_login(bob)
    for number in range(30):
        actions.add_late_comer(update, make_device(f"d{number}"), now=now)

    # session, user, update, folders, devices; PostgreSQL is asked for the time, too
    with django_assert_max_num_queries(6):
        assert len(lines(client, update)) == 33


def test_it_needs_a_signed_in_user(client, update):
    response = client.get(f"/system-updates/{update.pk}/devices/download/")

    assert response.status_code == 302


def test_page_links_to_what_it_shows(client, bob, update):
    client.force_login(bob)

    text = client.get(f"/system-updates/{update.pk}/devices/", {"kind": "workstation"}).text

    assert f'href="/system-updates/{update.pk}/devices/download/?kind=workstation"' in text
