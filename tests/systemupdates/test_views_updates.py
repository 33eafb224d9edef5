"""System Updates and the current replication status."""

import pytest

from systemupdates import actions
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State

INDEX = "/system-updates/"


@pytest.fixture(autouse=True)
def signed_in(client, bob):
    client.force_login(bob)


def move(update, state, now, *names):
    rows = update.device_updates.filter(device__name__in=names)
    rows.move(to=state, by=None, at=now, reason="No content." if state == State.FAILED else "")


def test_update_that_replicates_is_available_and_is_polled(client, make_update):
    make_update()

    response = client.get(INDEX)

    assert [row[0].name for row in response.context["available"]] == ["Certificate update"]
    assert 'hx-trigger="every 5s"' in response.text
    assert "1 of 1" in response.text


def test_while_an_update_is_available_nobody_is_told_to_start_one(client, make_update):
    before = client.get(INDEX).text
    make_update()

    text = client.get(INDEX).text

    assert "as soon as you start Remint CA" in before and 'href="#available"' not in before
    assert "as soon as you start Remint CA" not in text
    assert 'Certificate update is below, in <a href="#available">Available System Updates' in text


def test_deploying_update_shows_the_three_counts_as_links(client, make_device, make_update, now):
    for name in ("a", "b", "c", "d"):
        make_device(name)
    update = make_update(assigned=True)
    move(update, State.FAILED, now, "a")
    move(update, State.COMPLETED, now, "b")
    move(update, State.IGNORED, now, "c")
    move(update, State.PENDING, now, "d")

    response = client.get(INDEX)

    (_, counts, _) = response.context["deploying"][0]
    assert (counts.pending, counts.successful, counts.failed) == (2, 1, 1)
    assert counts.applied_percent == 50
    for count in ("pending", "successful", "failed"):
        assert f'href="{INDEX}{update.pk}/devices/?count={count}"' in response.text


def test_finished_update_is_history_and_polling_ends(client, make_update, now):
    update = make_update(assigned=True)
    move(update, State.COMPLETED, now, "ps1")

    response = client.get(INDEX)

    assert [row[0] for row in response.context["history"]] == [update]
    assert "every 5s" not in response.text
    assert "Nothing is being deployed" in response.text


def test_retired_devices_are_in_no_count(client, make_device, make_update, now):
    device = make_device("a")
    make_update(assigned=True)
    device.retired_at = now
    device.save()

    (_, counts, _) = client.get(INDEX).context["deploying"][0]

    assert counts.total == 1


def test_htmx_is_answered_with_the_part_alone(client, make_update):
    make_update()

    response = client.get(INDEX, headers={"HX-Request": "true"})

    assert response.text.lstrip().startswith('<div class="z-panes" id="updates"')
    assert response["Vary"].count("HX-Request") == 1


def test_number_of_queries_does_not_grow_with_the_updates(
    client, make_update, alice, now, django_assert_max_num_queries
):
    for _ in range(6):
        actions.withdraw(make_update(), by=alice, now=now)
    make_update(assigned=True)

    with django_assert_max_num_queries(17):
        client.get(INDEX)


def test_update_with_something_to_do_is_found_however_many_are_newer(client, make_update):
    made = [make_update() for _ in range(45)]

    found, query = [], {}
    while query is not None:
        context = client.get(INDEX, query).context
        assert len(context["available"]) <= 20
        found += [row[0].pk for row in context["available"]]
        query = {"after": context["page"].next} if context["page"].next else None

    assert found == [update.pk for update in reversed(made)]


def test_updates_that_are_over_hide_none_that_is_not(client, make_update, alice, now):
    oldest = make_update()
    for _ in range(25):
        actions.withdraw(make_update(), by=alice, now=now)

    response = client.get(INDEX)

    assert [row[0].pk for row in response.context["available"]] == [oldest.pk]
    assert len(response.context["history"]) == 20
    assert "the newest first" not in response.text


def test_replication_status_lists_every_content_server(client, make_device, make_update):
    make_device("cache", is_content_satellite=True)
    update = make_update()

    response = client.get(f"{INDEX}{update.pk}/replication/")

    assert [row.server.name for row in response.context["rows"]] == ["ps1", "cache"]
    assert "Waiting for its schedule" in response.text
    assert "The update is assigned when all 2 are Available." in response.text
    assert 'hx-trigger="every 2s"' in response.text


def test_replication_status_is_a_page_and_a_dialog(client, make_update):
    update = make_update()
    url = f"{INDEX}{update.pk}/replication/"

    page = client.get(url)
    fetched = client.get(url, headers={"HX-Request": "true"})

    assert '<div class="z-shell" inert>' in page.text
    assert "<dialog" in page.text and " open " in page.text
    assert "z-shell" not in fetched.text and " open " not in fetched.text


def test_replication_status_of_a_finished_update_is_not_polled(client, make_update):
    response = client.get(f"{INDEX}{make_update().pk}/replication/")

    assert "hx-trigger" not in response.text
    assert "All 1 content servers have the content." in response.text


def test_updates_of_a_device_show_each_step_with_its_reason(client, make_device, make_update, now):
    device = make_device("a")
    update = make_update(assigned=True)
    move(update, State.FAILED, now, "a")

    response = client.get(f"/devices/{device.pk}/updates/")

    events = DeviceUpdate.objects.get(device=device).events
    assert list(events.values_list("state", flat=True)) == [State.ASSIGNED, State.FAILED]
    assert "Update Failed" in response.text and "No content." in response.text
    assert "By Alice." in response.text
