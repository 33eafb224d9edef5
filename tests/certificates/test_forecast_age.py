"""How old a forecast may be when somebody looks, and what is said of those it names."""

import html
import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.urls import reverse
from django.utils import timezone

from certificates import due, forecast_view
from certificates.actions import forecasts
from certificates.models import Forecast
from devices.check_ins import added
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building
from zcc.ground import doorbell
from zcc.templatetags.times import moment_text

MINUTES = timedelta(minutes=1)
DAYS = timedelta(days=1)
DIALOG = "/certificates/remint-ca/"


@pytest.fixture
def phones(zone, servers, now):
    names = ["phone2", "phone3"]
    phones = [building.make_device(zone, name, now, kind="mobile") for name in names]
    Device.objects.filter(kind="mobile").update(last_contact_at=now - 30 * DAYS)
    return phones


@pytest.fixture
def foreseen(phones, ca, zone, now):
    forecasts.make(zone, now=now)
    return forecast_view.at_rest(zone)


@pytest.fixture
def rung(monkeypatch):
    rings = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: rings.append((task, ids)))
    return rings


def misses(zone, now):
    return forecast_view.Misses(forecast_view.at_rest(zone), now + 3 * DAYS, now=now)


def reasons(zone, now):
    return {name.straggler.device.name: name.reason for name in misses(zone, now).names}


def seen(name, at):
    Device.objects.filter(name=name).update(last_contact_at=at)


def test_dialog_says_when_the_forecast_was_made_and_of_how_many(client, alice, foreseen):
    client.force_login(alice)

    page = client.get(DIALOG).text

    made = timezone.localtime(foreseen.made_at)
    assert f"{made:%H:%M}</time>, {foreseen.total} devices, 2 of them mobile, from" in page
    assert "It is being made anew." not in page


def test_mobiles_are_named_apart_when_no_other_device_misses(client, alice, foreseen):
    client.force_login(alice)

    page = client.get(DIALOG).text

    assert "2 mobile devices will probably miss this date, and no other device" in page


@pytest.mark.parametrize("why", ["age", "number"])
def test_dialog_has_an_old_forecast_made_anew_and_asks_again(
    client, alice, zone, foreseen, rung, now, why
):
    client.force_login(alice)
    Forecast.objects.update(made_at=now - (20 * MINUTES if why == "age" else MINUTES / 2))
    if why == "number":
        Device.objects.filter(name="phone2").update(retired_at=now)

    page = client.get(DIALOG).text

    queue = Device.objects.order_by("pk").first().queue
    assert rung == [("certificates.tasks.make_forecast", {"queue": queue, "zone_id": zone.pk})]
    assert "It is being made anew." in page and 'hx-trigger="every 2s"' in page
    forecasts.make(zone, now=timezone.now())
    assert "It is being made anew." not in client.get(DIALOG).text


@pytest.mark.parametrize(
    "address",
    [
        "/certificates/remint-ca/time/",
        "/certificates/change-ca/time/?draft=9ea7f6b1-9d3b-4ba5-8f15-6d0e3f4a4c11",
    ],
)
def test_answer_asks_again_at_its_own_address(client, alice, foreseen, rung, now, address):
    client.force_login(alice)
    Forecast.objects.update(made_at=now - 20 * MINUTES)
    at = timezone.localtime(now + 20 * DAYS)
    typed = urlencode({"activation_date": f"{at:%Y-%m-%d}", "activation_time": f"{at:%H:%M}"})

    asked = f"{address}{'&' if '?' in address else '?'}{typed}"
    answer = client.get(asked).text

    again = html.unescape(re.search(r'hx-get="([^"]+)"', answer)[1])
    assert again == asked.replace("%3A", ":")
    assert client.get(again).text == answer


def test_dialog_that_comes_before_the_first_forecast_waits_for_it(client, alice, ca, rung):
    client.force_login(alice)

    page = client.get(DIALOG).text

    assert "There is no forecast of who would miss it yet." in page and len(rung) == 1


def test_postpone_says_of_when_its_forecast_is(client, alice, phones, make_operation, zone, rung):
    operation, now = make_operation("assigned"), timezone.now()
    forecasts.make(zone, now=now)
    client.force_login(alice)
    url = reverse("certificates:postpone", args=[operation.pk])

    fresh = client.get(url).text
    Forecast.objects.update(made_at=now - 20 * MINUTES)
    old = client.get(url).text

    assert "by the forecast as of <time" in fresh and "made anew" not in fresh
    assert "It is being made anew." in old and len(rung) == 1


def test_in_an_overlap_the_next_operation_is_foreseen_too(zone, phones, make_operation, now):
    operation = make_operation("overlap")

    forecasts.make(zone, now=now)

    assert forecast_view.of_operation(operation).is_made
    assert forecast_view.at_rest(zone).total == Device.objects.count()
    building.make_device(zone, "ws-new", now, kind="workstation")
    assert any(ring.task.endswith("make_forecast") for ring in due.rings(zone, now=now))


def test_nothing_is_made_again_that_is_neither_due_nor_old(zone, foreseen, now):
    forecasts.make(zone, now=now + MINUTES / 6)

    assert Forecast.objects.get().made_at == foreseen.made_at


def test_habit_is_not_claimed_before_a_week_is_known(zone, phones, ca, now):
    def came(name, *days):
        record = b""
        for back in days:
            record = added(record, now - back * DAYS)
        Device.objects.filter(name=name).update(check_ins=record)

    came("phone2", 32, 31, 30)
    came("phone3", 3, 2)
    seen("phone3", now - 2 * DAYS)

    forecasts.make(zone, now=now)

    found = reasons(zone, now)
    assert found["phone2"].startswith("Not seen for 30 days. Usually here")
    assert "too little history to say when it is usually here" in found["phone3"]


def test_who_has_come_since_misses_nothing(zone, foreseen, now):
    assert misses(zone, now).number == 2

    seen("phone2", now + MINUTES)

    later = misses(zone, now + 2 * MINUTES)
    assert (later.number, later.mobiles, later.others) == (1, 1, 0)
    assert list(reasons(zone, now + 2 * MINUTES)) == ["phone3"]


def test_device_just_seen_is_listed_with_the_reason(client, bob, zone, foreseen, now):
    row = foreseen.stragglers.get(device__name="phone2")
    row.expected_at = now + 9 * DAYS
    row.save()
    Forecast.objects.update(starts_at=now)
    seen("phone2", now + MINUTES)
    client.force_login(bob)

    said = reasons(zone, now + MINUTES + timedelta(seconds=1))["phone2"]

    assert said.startswith("Seen 1 s ago. It is expected again by ")
    url = reverse("certificates:stragglers", args=[foreseen.pk])
    page = client.get(url, {"at": (now + 3 * DAYS).isoformat()}).text
    assert "It is expected again by " in page


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (timedelta(seconds=5), "Seen 1 s ago. The content comes by {content}."),
        (
            9 * DAYS,
            "Seen 1 s ago. The content comes by {content}; it is expected after that by {at}.",
        ),
    ],
)
def test_device_that_comes_all_the_time_waits_for_the_content(zone, foreseen, now, late, said):
    content = now + 4 * DAYS
    Forecast.objects.update(starts_at=content)
    foreseen.stragglers.filter(device__name="phone2").update(expected_at=content + late)
    seen("phone2", now + MINUTES)

    found = reasons(zone, now + MINUTES + timedelta(seconds=1))["phone2"]

    assert found == said.format(content=moment_text(content), at=moment_text(content + late))


@pytest.mark.parametrize(
    ("state", "problem", "said"),
    [
        ("failed", "", "Seen 1 s ago. Its update failed."),
        ("pending", "The clock is wrong.", "Seen 1 s ago. Its proof failed: The clock is wrong."),
        ("download", "", "Seen 1 s ago. Its update is still at Download in Progress."),
    ],
)
def test_device_of_an_operation_is_listed_with_what_holds_it(
    zone, phones, make_operation, now, state, problem, said
):
    operation = make_operation("assigned")
    operation.servers.update(staged_at=now)
    rows = DeviceUpdate.objects.filter(device__name="phone2")
    rows.update(state=state, proof_problem=problem)
    forecasts.make(zone, now=now)
    seen("phone2", now + MINUTES)
    at, then = now + 3 * DAYS, now + MINUTES + timedelta(seconds=1)

    forecast = forecast_view.of_operation(operation)
    found = forecast_view.Misses(forecast, at, now=then).names

    assert [one.reason for one in found if one.straggler.device.name == "phone2"] == [said]
    rows.update(state="completed", proof_problem="")
    assert forecast_view.Misses(forecast, at, now=then).number == len(found) - 1


def test_list_without_a_date_asks_of_the_recommended_one(client, bob, zone, foreseen):
    building.make_device(zone, "ws-seen", foreseen.made_at, kind="workstation")
    Forecast.objects.update(due_at=foreseen.made_at)
    forecasts.make(zone, now=foreseen.made_at)
    client.force_login(bob)

    page = client.get(reverse("certificates:stragglers", args=[foreseen.pk])).text

    assert ">phone2</a>" in page and ">ws-seen</a>" not in page
