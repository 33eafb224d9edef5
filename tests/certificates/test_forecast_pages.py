"""The forecast in the dialogs `Remint CA` and `Postpone`, on the pages, and the list of all."""

import re
from datetime import datetime, timedelta
from urllib.parse import unquote

import pytest
from django.urls import reverse
from django.utils import timezone

from certificates import activation, forecast_view
from certificates.actions import forecasts, operations
from certificates.forecast_chart import Chart, height, percent
from certificates.models import Forecast
from devices.models import Device
from systemupdates import actions as updates
from tests.certificates import building

DAYS = timedelta(days=1)


@pytest.fixture
def fleet(zone, servers, now):
    for number in range(9):
        building.make_device(zone, f"ws-{number}", now, kind="workstation")
    gone = Device.objects.filter(name__in=[f"ws-{number}" for number in range(8)])
    gone.update(last_contact_at=now - 30 * DAYS)


@pytest.fixture
def foreseen(fleet, ca, zone, now):
    forecasts.make(zone, now=now)
    return forecast_view.at_rest(zone)


def typed(at):
    local = timezone.localtime(at)
    return {"activation_date": f"{local:%Y-%m-%d}", "activation_time": f"{local:%H:%M}"}


def missing(page):
    return int(re.search(r"(\d+) devices will probably miss this date", page)[1])


def looked_at(page):
    return datetime.fromisoformat(unquote(re.search(r"/stragglers/\d+/\?at=([^\"]+)", page)[1]))


def test_remint_ca_names_six_and_links_to_all(client, alice, foreseen):
    client.force_login(alice)

    page = client.get("/certificates/remint-ca/").text

    assert "8 devices will probably miss this date" in page
    assert page.count("Not seen for 30 days. There is too little history to say when it is") == 6
    assert f"/certificates/stragglers/{foreseen.pk}/?at=" in page
    assert "View all 8" in page


def test_answer_to_another_date_carries_who_misses_it(client, alice, foreseen, now):
    client.force_login(alice)

    soon = client.get("/certificates/remint-ca/time/", typed(now + timedelta(minutes=30))).text
    later = client.get("/certificates/remint-ca/time/", typed(now + 2 * DAYS)).text

    # How many a date within the hour leaves out goes by the next round of replication.
    assert missing(soon) >= missing(later) == 8
    assert looked_at(soon) < looked_at(later)
    assert 'id="activation-misses" hx-swap-oob="true"' in later


def test_dialog_without_a_forecast_says_nothing_of_misses(client, alice, ca):
    client.force_login(alice)

    assert "will probably miss" not in client.get("/certificates/remint-ca/").text


def test_recommendation_adds_what_the_check_ins_show(zone, foreseen, now):
    before = activation.recommendation(zone, now=now)
    Forecast.objects.update(by_schedule=0)

    after = activation.recommendation(zone, now=now)

    assert len(before.parts) == 3
    assert [label for label, _ in after.parts][2] == "99.9 % of those in contact check in within"
    assert after.total > before.total


def test_proposed_time_leaves_time_to_mend_before_the_ca_ends(ca, now):
    last_weeks = ca.expires_at - 32 * DAYS
    ca.zone.refresh_interval = 20 * DAYS
    ca.zone.save()

    assert activation.proposed(ca, now=last_weeks) <= ca.expires_at - 29 * DAYS


def test_postpone_compares_dates(client, alice, fleet, make_operation, zone, now):
    operation = make_operation("assigned")
    Device.objects.filter(name="ws-0").update(trusted_fingerprints=["ab" * 32])
    forecasts.make(zone, now=now)
    client.force_login(alice)

    page = client.get(reverse("certificates:postpone", args=[operation.pk]), {"days": "7"}).text

    assert "Who would be lost at which date" in page
    assert "1 device" in page
    assert 'id="later-7"' in page and 'aria-current="true">1 week' in page


def test_postpone_follows_the_date_that_is_typed(client, alice, fleet, make_operation, zone, now):
    operation = make_operation("assigned")
    forecasts.make(zone, now=now)
    client.force_login(alice)
    url = reverse("certificates:postpone_time", args=[operation.pk])

    said = client.get(url, typed(now + 20 * DAYS)).text
    nothing = client.get(url, {"activation_date": "x"}).text

    assert "Who would be lost at which date" in said and "% ready" in said
    assert "Choose a date and a time." in nothing


def test_postpone_time_is_not_for_everyone(client, bob, make_operation):
    operation = make_operation("assigned")
    client.force_login(bob)

    url = reverse("certificates:postpone_time", args=[operation.pk])
    assert client.get(url, typed(timezone.now())).status_code == 403


@pytest.mark.parametrize("path", ["/certificates/", "operation"])
def test_chart_and_table_stand_on_both_pages(client, bob, fleet, make_operation, zone, now, path):
    operation = make_operation("assigned")
    forecasts.make(zone, now=now)
    client.force_login(bob)
    url = reverse("certificates:operation", args=[operation.pk]) if path == "operation" else path

    page = client.get(url).text

    assert '<svg class="z-fore" role="img"' in page
    assert "100 % has no date: 8 devices are not expected." in page
    assert page.count('id="undated-') == 6 and "and 2 more" in page
    assert "no week of check-in history yet" in page


def test_stragglers_lists_all_of_a_date_and_copes_with_nonsense(client, bob, foreseen, now):
    client.force_login(bob)
    url = reverse("certificates:stragglers", args=[foreseen.pk])

    page = client.get(url, {"at": (now + 2 * DAYS).isoformat()}).text

    assert "8 devices will probably miss this date" in page
    assert [f">ws-{number}</a>" in page for number in range(9)] == [True] * 8 + [False]
    for wrong in ("x", "2026-13-45T00:00", "2026-01-01"):
        assert client.get(url, {"at": wrong}).status_code == 200
    assert client.get(reverse("certificates:stragglers", args=[999])).status_code == 404


@pytest.mark.parametrize(
    ("share", "y"), [(0, 240), (0.9, 185), (0.99, 130), (0.999, 75), (0.9999, 20), (1, 20)]
)
def test_each_grid_line_has_ten_times_fewer_missing(share, y):
    assert height(share) == y


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.5, "50 %"),
        (0.985, "98 %"),
        (0.9995, "99.95 %"),
        (0.99999, "99.99 %"),
        (1, "100 %"),
    ],
)
def test_share_is_rounded_down_and_shows_its_tail(share, text):
    assert percent(share) == text


def test_chart_of_a_long_operation_has_dates_and_few_points(make_operation, zone, now):
    operation = make_operation("assigned", at=now - 10 * DAYS, activate_at=now + 3 * DAYS)
    forecasts.make(zone, now=now)
    row = forecast_view.of_operation(operation)
    row.real = [[(now - 10 * DAYS).timestamp() + 600 * step, step % 4] for step in range(1000)]

    outlook = forecast_view.Outlook(row, operation, now=now)

    assert isinstance(outlook.chart, Chart)
    assert len(outlook.chart.real.split()) <= 200
    assert 70 < outlook.chart.activation < 100
    assert all(0 <= tick.x <= 100 for tick in outlook.chart.ticks)


def test_cancelled_operation_foresees_nothing(client, bob, fleet, make_operation, zone, now, alice):
    operation = make_operation("replicating")
    forecasts.make(zone, now=now)
    client.force_login(bob)
    paths = ["/certificates/", f"/certificates/operations/{operation.pk}/"]
    before = [client.get(path).text for path in paths]

    operations.cancel(operation, by=alice, now=now)

    assert all('id="forecast"' in text for text in before)
    assert not any('id="forecast"' in client.get(path).text for path in paths)


@pytest.mark.parametrize("acts", [["baseline"], ["baseline", "delete"]])
def test_nothing_is_foreseen_of_an_update_that_is_closed(
    client, bob, fleet, make_operation, zone, now, acts
):
    operation = make_operation("overlap")
    operation.update.device_updates.move(to="completed", by=None, at=now)
    forecasts.make(zone, now=now)
    before = forecast_view.of_operation(operation)
    client.force_login(bob)
    paths = ["/certificates/", f"/certificates/operations/{operation.pk}/"]
    assert all('id="forecast"' in client.get(path).text for path in paths)

    for act in acts:
        operation.update.refresh_from_db()
        getattr(updates, act)(operation.update, by=None, now=now)
    forecasts.make(zone, now=now + DAYS)

    assert forecast_view.of_operation(operation).real == before.real
    assert not any('id="forecast"' in client.get(path).text for path in paths)
