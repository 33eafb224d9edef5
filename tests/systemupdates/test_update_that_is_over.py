"""Status by Device of an update that is baselined, deleted or canceled: it says so, and by whom."""

import pytest

from systemupdates import actions, overview
from systemupdates.models.device_update import State


@pytest.fixture
def update(make_device, make_update):
    make_device("a")
    return make_update(assigned=True)


def page(client, update):
    return client.get(f"/system-updates/{update.pk}/devices/").text


@pytest.mark.parametrize("over", ["baselined", "deleted", "canceled"])
def test_head_says_what_ended_it_and_the_buttons_agree(client, alice, update, now, over):
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)
    if over == "canceled":
        actions.withdraw(update, by=alice, now=now)
    else:
        actions.baseline(update, by=alice, now=now)
    if over == "deleted":
        actions.delete(update, by=alice, now=now)
    client.force_login(alice)

    text = page(client, update)

    assert "Certificate update, assigned <time" in text
    assert f", <b>{over}</b> <time" in text and " by Alice.</p>" in text
    assert f"The update is {over}: no device is told of it any more." in text
    assert "not assigned" not in text


def test_update_that_was_canceled_before_its_assignment_is_not_waited_for(
    client, alice, make_update, now
):
    update = make_update()
    actions.withdraw(update, by=None, now=now)
    client.force_login(alice)

    text = page(client, update)

    assert "no device had it." in text and "No device had this update" in text
    assert "no device has it yet" not in text and " by Alice" not in text


def test_update_that_is_open_is_not_said_to_be_over(client, alice, update):
    client.force_login(alice)

    assert "no device is told of it any more" not in page(client, update)


def test_pane_of_the_history_counts_in_the_words_of_the_page_it_leads_to(
    client, alice, update, now
):
    update.device_updates.exclude(device__name="a").move(to=State.COMPLETED, by=None, at=now)
    actions.baseline(update, by=alice, now=now)
    client.force_login(alice)

    (counts,) = overview.count_devices([update]).values()

    assert counts.by_word["Not taken"] == 1
    assert "Not taken" in page(client, update)
    assert 'aria-label="1 not completed"' in client.get("/system-updates/").text
