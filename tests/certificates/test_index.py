"""Configuration > Certificates: what both panes show, and how they keep themselves current."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from devices.models import Heartbeat
from tests.certificates import building

INDEX = "/certificates/"
STATES = ["preparing", "replicating", "assigned", "armed", "activating", "overlap"]


@pytest.fixture(autouse=True)
def signed_in(client, alice):
    client.force_login(alice)


def address(page, part):
    """Where a part of the page asks whether there is anything new."""
    found = re.search(
        rf'id="{part}" data-live hx-get="([^"]+)" hx-trigger="every (\d+)s"', page.text
    )
    return found[1].replace("&amp;", "&"), int(found[2])


def test_zone_at_rest_says_that_all_is_right(client, ca, alice, now):
    building.note_backup(ca, by=alice, at=now)

    page = client.get(INDEX)

    assert "All right. All certificates are in force." in page.text
    assert "Nothing is in progress." in page.text
    assert "Nothing today." in page.text
    assert address(page, "ca-pane")[1] == 5


@pytest.mark.parametrize("columns", ["", "?columns=all"])
def test_who_issued_it_is_told_by_its_generation(client, make_operation, columns):
    make_operation("overlap")

    page = client.get(INDEX + columns).text

    assert ">generation 1<" in page or ">generation 2<" in page


def test_page_before_there_is_a_zone_says_what_to_do(client, db):
    assert "This server has no zone yet" in client.get(INDEX).text


@pytest.mark.parametrize("state", STATES)
def test_every_state_of_an_operation_can_be_shown(client, make_operation, state):
    operation = make_operation(state, activate_at=None)

    page = client.get(INDEX)

    assert page.status_code == 200
    assert reverse("certificates:operation", args=[operation.pk]) in page.text
    assert address(page, "servers-pane")[1] == (5 if state == "overlap" else 2)


def test_what_has_not_changed_is_not_sent_again(client, make_operation):
    make_operation("armed")
    page = client.get(INDEX)

    for part in ("ca-pane", "servers-pane"):
        assert client.get(address(page, part)[0]).status_code == 204


def test_what_has_changed_is_sent_with_its_new_address(client, make_operation, now):
    operation = make_operation("replicating")
    before = address(client.get(INDEX), "ca-pane")[0]
    building.assign(operation, now)

    answer = client.get(before)

    assert answer.status_code == 200
    assert client.get(address(answer, "ca-pane")[0]).status_code == 204


def test_new_server_appears_by_itself(client, ca, zone, now):
    before = address(client.get(INDEX), "servers-pane")[0]
    building.make_device(zone, "ps3", now)

    assert "ps3" in client.get(before).text


def test_row_shows_both_certificates_of_a_server(client, make_operation):
    make_operation("assigned")

    page = client.get(reverse("certificates:servers_pane"))

    assert page.text.count('class="z-future"') == 3
    assert page.text.count("New certificate created") == 3
    assert page.text.count(">Active<") == 3


def test_late_server_is_named_and_nobody_waits_for_it(client, make_operation, servers, now):
    make_operation("armed")
    Heartbeat.objects.filter(server=servers[1]).update(at=now - timedelta(minutes=5))

    page = client.get(INDEX)

    assert "Late server" in page.text
    assert "ps2 is late; it follows when back." in page.text


def test_problem_of_a_server_is_shown_in_words(client, make_operation):
    operation = make_operation("replicating")
    operation.servers.filter(device__name="ps2").update(problem="The disk is full.")

    assert "The disk is full." in client.get(reverse("certificates:servers_pane")).text


def test_updater_tool_is_in_the_row_of_its_server(client, make_operation, now):
    operation = make_operation("assigned")
    operation.servers.filter(device__name="ps1").update(updater_ran_at=now)
    operation.servers.filter(device__name="ps2").update(updater_problem="It was killed.")

    page = client.get(reverse("certificates:servers_pane")).text

    assert page.count("Updater Tool ran ") == 1
    assert page.count("Updater Tool: It was killed.") == 1


def test_all_columns_show_every_fingerprint_in_full(client, ca, servers):
    page = client.get(f"{INDEX}?columns=all")

    sha256 = servers[0].certificates.get().facts["sha256"]
    assert sha256 in page.text
    assert "columns=all" in address(page, "servers-pane")[0]


@pytest.mark.parametrize("path", [INDEX, f"{INDEX}?columns=all"])
def test_queries_do_not_grow_with_servers_and_devices(
    client, make_operation, zone, now, django_assert_max_num_queries, path
):
    operation = make_operation("replicating")
    with django_assert_max_num_queries(60) as few:
        client.get(path)
    for number in range(8):
        server = building.make_device(zone, f"more{number}", now)
        building.make_certificate(server, operation.old_ca, now)
        operation.servers.create(device=server)

    with django_assert_max_num_queries(len(few)):
        client.get(path)


def test_nobody_sees_it_without_signing_in(client, ca):
    client.logout()

    assert client.get(INDEX).status_code == 302


def test_rare_buttons_are_in_a_menu_with_their_reasons(client, make_operation, ca):
    at_rest = client.get(INDEX).text
    make_operation("replicating")

    busy = client.get(INDEX).text

    menu = re.search(r"More.*?</details>", at_rest, re.DOTALL)[0]
    assert "Rehearse" in menu
    assert "Verify backup" in menu
    assert "Rehearse" not in at_rest.replace(menu, "")
    assert "Remint CA" not in menu
    disabled = re.search(r"More.*?</details>", busy, re.DOTALL)[0]
    assert 'aria-disabled="true"' in disabled


def test_missing_backup_says_why_it_cannot_be_made_now(client, make_operation):
    make_operation("replicating")

    page = client.get(INDEX).text

    assert "There is no verified backup" in page
    assert "It cannot be made now: Remint CA is in progress. Cancel it, or wait until" in page


def test_first_certificate_of_a_satellite_replaces_none(client, ca, zone, now):
    satellite = building.make_device(
        zone, "auth9", now, kind="server", is_authentication_satellite=True
    )
    building.make_certificate(satellite, ca, now, state="future")
    first = client.get(reverse("certificates:servers_pane")).text

    building.make_certificate(satellite, ca, now)
    renewal = client.get(reverse("certificates:servers_pane")).text

    assert "is put to use" in first
    assert "replaces that of auth9" not in first
    assert "replaces that of auth9" in renewal
