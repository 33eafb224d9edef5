"""Deployment History: every update that is over."""

from importlib import import_module

import pytest
from django.apps import apps

from systemupdates import actions
from systemupdates.models import DeviceUpdate, SystemUpdate
from systemupdates.models.device_update import State

HISTORY = "/system-updates/history/"


def finish(update, now):
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)


def test_what_is_over_is_listed_with_who_did_what(
    client, alice, bob, make_device, make_update, now
):
    make_device("a")
    update = make_update(assigned=True)
    DeviceUpdate.objects.filter(device__name="a").move(to=State.IGNORED, by=alice, at=now)
    update.device_updates.exclude(state=State.IGNORED).move(to=State.COMPLETED, by=None, at=now)
    actions.baseline(update, by=alice, now=now)
    client.force_login(bob)

    (row,) = client.get(HISTORY).context["rows"]

    assert (row.counts.successful, row.counts.ignored, row.counts.failed) == (1, 1, 0)
    assert (row.first.state, row.first.by) == ("created", alice)
    assert (row.last.state, row.last.by) == ("baselined", alice)


def test_what_is_on_its_way_is_not_history(client, bob, make_update):
    make_update(assigned=True)
    client.force_login(bob)

    response = client.get(HISTORY)

    assert response.context["rows"] == []
    assert "No update is over yet" in response.text


def test_every_update_is_on_one_page_and_each_page_takes_the_same_queries(
    client, bob, make_update, now, django_assert_max_num_queries
):
    for _ in range(60):
        finish(make_update(assigned=True), now)
    client.force_login(bob)

    with django_assert_max_num_queries(14):  # 12, and PostgreSQL is asked for the time
        first = client.get(HISTORY)
    second = client.get(HISTORY, {"after": first.context["page"].next})

    found = [row.update.pk for page in (first, second) for row in page.context["rows"]]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 60


def test_canceled_update_shows_what_was_so_at_the_cancel(
    client, bob, make_device, make_update, now
):
    for name in ("a", "b", "c"):
        make_device(name)
    update = make_update(assigned=True)
    update.device_updates.filter(device__name="a").move(to=State.PENDING, by=None, at=now)
    update.device_updates.filter(device__name="b").move(to=State.IGNORED, by=None, at=now)
    actions.withdraw(update, by=None, now=now)
    client.force_login(bob)

    (row,) = client.get(HISTORY).context["rows"]

    assert (row.counts.applied, row.counts.counted, row.counts.ignored) == (1, 3, 1)
    assert "1 of 3 devices trusted the new CA then" in client.get(HISTORY).text
    index = client.get("/system-updates/").text
    assert '1 of 3<span class="z-sub">trusted the new CA then' in index


def test_update_that_was_canceled_before_an_upgrade_shows_it_too(
    client, bob, make_device, make_update, now
):
    devices = [make_device(name) for name in ("a", "b", "c", "d")]
    update, unassigned = make_update(assigned=True), make_update()
    for device, state in zip(
        devices, [State.PENDING, State.IGNORED, State.COMPLETED], strict=False
    ):
        update.device_updates.filter(device=device).move(to=state, by=None, at=now)
    for one in (update, unassigned):
        actions.withdraw(one, by=None, now=now)
    kept = SystemUpdate.objects.get(pk=update.pk).at_withdrawal
    SystemUpdate.objects.update(at_withdrawal={})

    import_module("systemupdates.migrations.0007_at_withdrawal").count_earlier_ones(apps, None)

    assert SystemUpdate.objects.get(pk=update.pk).at_withdrawal == kept
    assert kept == {"pending": 1, "ignored": 1, "completed": 1, "assigned": 2}  # and the server
    client.force_login(bob)
    assert "2 of 4 devices trusted the new CA then" in client.get(HISTORY).text
    assert SystemUpdate.objects.get(pk=unassigned.pk).at_withdrawal == {}


@pytest.mark.parametrize("is_deleted", [False, True])
def test_update_that_was_not_canceled_says_who_has_not_completed_it(
    client, alice, make_device, make_update, now, is_deleted
):
    for name in ("a", "b"):
        make_device(name)
    update = make_update(assigned=True)
    rest = update.device_updates.filter(device__name__in=["a", "b"])
    update.device_updates.exclude(pk__in=rest).move(to=State.COMPLETED, by=None, at=now)
    actions.baseline(update, by=alice, now=now)
    if is_deleted:
        actions.delete(update, by=alice, now=now)
    client.force_login(alice)
    some = client.get(HISTORY).text
    rest.move(to=State.COMPLETED, by=None, at=now)

    none = client.get(HISTORY).text

    assert "2 devices have not completed it" in some
    assert "not completed it" not in none
    assert "trusted the new CA" not in some + none


def test_update_that_was_canceled_before_anyone_had_it_counts_nobody(client, bob, make_update, now):
    actions.withdraw(make_update(), by=None, now=now)
    client.force_login(bob)

    page = client.get(HISTORY)

    assert page.context["rows"][0].counts.total == 0 and "trusted the new CA" not in page.text
    assert '<span class="z-2">not assigned</span>' in client.get("/system-updates/").text


def test_counts_lead_to_the_devices_and_the_page_has_the_buttons(
    client, alice, bob, make_device, make_update, now
):
    make_device("a")
    make_device("b")
    update = make_update(assigned=True)
    DeviceUpdate.objects.filter(device__name="a").move(to=State.IGNORED, by=alice, at=now)
    finish(update, now)
    devices = f'href="/system-updates/{update.pk}/devices/'
    client.force_login(alice)

    page, panel = client.get(HISTORY).text, client.get("/system-updates/").text

    for query in ("count=successful", "count=failed", "status=ignored"):
        assert f"{devices}?{query}" in page
    assert f"{devices}?count=successful" in panel and f"{devices}?status=ignored" in panel
    assert 'aria-label="Baseline Certificate update"' in page
    actions.baseline(update, by=alice, now=now)
    assert 'aria-label="Delete Certificate update"' in client.get(HISTORY).text
    client.force_login(bob)
    assert 'aria-label="Delete' not in client.get(HISTORY).text


def test_counts_of_a_canceled_update_are_of_then_and_lead_nowhere(client, bob, make_update, now):
    update = make_update(assigned=True)
    finish(update, now)
    actions.withdraw(update, by=None, now=now)
    client.force_login(bob)

    assert "?count=" not in client.get(HISTORY).text


def test_update_that_a_primary_server_lacks_cannot_be_baselined_here_either(
    client, alice, make_update, now
):
    make_update(assigned=True).device_updates.all().move(to=State.IGNORED, by=None, at=now)
    client.force_login(alice)

    assert "Not before every Primary Server has completed it: ps1" in client.get(HISTORY).text
