"""Deployment History: every update that is over."""

from systemupdates import actions
from systemupdates.models import DeviceUpdate
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

    with django_assert_max_num_queries(12):
        first = client.get(HISTORY)
    second = client.get(HISTORY, {"after": first.context["page"].next})

    found = [row.update.pk for page in (first, second) for row in page.context["rows"]]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 60
