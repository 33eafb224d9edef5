"""Content replication: `Change` its settings, `Exclude`, `Include`, `Replicate now`."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from devices.models import Device, Kind, Zone
from systemupdates import actions, api, content_servers, rounds
from systemupdates.models import ExcludedServer, Replication, ReplicationSettings

MINUTE = timedelta(minutes=1)
INTERVAL = {"mode": "interval", "number": "30", "unit": "minutes", "throttle": "500"}
TIMES = {"mode": "times", "times": "14:30, 2:00,02:00"}


@pytest.fixture
def update(make_device, make_update):
    make_device("ps2", kind=Kind.PRIMARY_SERVER)
    make_device("cache", kind=Kind.SERVER, is_content_satellite=True)
    return make_update()


def address(stem, *row):
    return reverse(f"systemupdates:{stem}", args=[found.pk for found in row])


def server(name):
    return Device.objects.select_related("zone").get(name=name)


def waiting():
    rows = Replication.objects.missing().order_by("server__name")
    return list(rows.values_list("server__name", flat=True))


def test_interval_and_throttle_are_saved_and_hold_at_once(client, alice, update, now):
    Replication.objects.update(due_at=now + timedelta(days=1))
    client.force_login(alice)

    response = client.post(address("replication_settings"), INTERVAL)

    zone = Zone.objects.get()
    assert response.url == address("content")
    assert zone.replication_interval == 30 * MINUTE
    assert rounds.throttle(zone) == 500_000
    row = Replication.objects.get(server__name="ps2")
    assert row.due_at <= now + 31 * MINUTE


def test_fixed_times_are_saved_each_once(client, alice, update):
    client.force_login(alice)

    client.post(address("replication_settings"), TIMES)
    page = client.get(address("content")).text

    assert ReplicationSettings.objects.get().fixed_times == ["02:00", "14:30"]
    assert Zone.objects.get().replication_interval == timedelta(hours=1)
    assert "At 02:00, 14:30 (UTC)" in page


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({**INTERVAL, "number": ""}, "Choose 10 seconds to 7 days."),
        ({**INTERVAL, "number": "8", "unit": "days"}, "Choose 10 seconds to 7 days."),
        ({**INTERVAL, "number": "x"}, "Choose 10 seconds to 7 days."),
        ({**INTERVAL, "throttle": "0"}, "Choose 1 to 1,000,000 kB a second"),
        ({**TIMES, "times": "25:00"}, "Write times as 02:00, 14:30."),
        ({**TIMES, "times": " "}, "Write at least one time, such as 02:00."),
        ({"mode": "never"}, "never"),
    ],
)
def test_settings_that_make_no_sense_are_said(client, alice, update, data, sentence):
    client.force_login(alice)

    response = client.post(address("replication_settings"), data)

    assert response.status_code == 422
    assert sentence in response.text
    assert not ReplicationSettings.objects.exists()


def test_fixed_times_name_their_zone_and_say_what_they_are_here(client, alice, zone, settings):
    settings.TIME_ZONE = "UTC"
    ReplicationSettings.objects.create(zone=zone, fixed_times=["02:00", "14:30"])
    client.force_login(alice)
    there = client.get(address("content")).text
    client.cookies["zcc_time_zone"] = "Asia/Tokyo"

    here = client.get(address("content")).text

    assert "At 02:00, 14:30 (UTC)" in there
    assert "here " not in there[there.index("At 02:00") :][:80]
    assert 'At 02:00, 14:30 (UTC)<span class="z-sub">here 11:00, 23:30 JST</span>' in here


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-11-24T01:59:59", "2026-11-24T02:00:00"),
        ("2026-11-24T02:00:00", "2026-11-24T14:30:00"),
        ("2026-11-24T20:00:00", "2026-11-25T02:00:00"),
    ],
)
def test_next_round_is_the_next_fixed_time(zone, after, due):
    ReplicationSettings.objects.create(zone=zone, fixed_times=["02:00", "14:30"])
    at = datetime.fromisoformat(after).replace(tzinfo=UTC)

    assert rounds.next_round(zone, after=at) == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert rounds.longest_wait(zone) == timedelta(hours=12, minutes=30)


def test_excluded_server_is_not_waited_for_and_the_pages_say_so(client, alice, update):
    client.force_login(alice)

    client.post(address("exclude_server", server("ps2")))
    client.post(address("exclude_server", server("cache")))

    assert waiting() == []
    assert actions.is_replicated(update)
    assert client.get(address("content")).text.count("fetches nothing and is not counted") == 2
    status = client.get(address("replication_status", update)).text
    assert "Excluded and not counted: cache, ps2." in status
    assert "Excluded meanwhile" not in status


def test_excluded_server_gets_no_row_of_the_next_update_and_included_all(
    client, alice, update, make_update
):
    client.force_login(alice)
    client.post(address("exclude_server", server("cache")))
    make_update()
    before = waiting()

    client.post(address("include_server", server("cache")))

    assert before == ["ps2", "ps2"]
    assert waiting() == ["cache", "cache", "ps2", "ps2"]


def test_server_that_is_being_given_content_ends_first(client, alice, update, now):
    client.force_login(alice)
    row = Replication.objects.filter(server__name="ps2")
    row.update(claim_id="7c1e9a40-3f0b-4d6e-9a55-21b7c0de4f83", lease_until=now + MINUTE)

    client.post(address("exclude_server", server("ps2")))

    assert row.exists()


def test_last_primary_server_stays_included(client, alice, update):
    client.force_login(alice)
    client.post(address("exclude_server", server("ps1")))

    response = client.post(address("exclude_server", server("ps2")), follow=True)

    assert "ps2 is the only Primary Server that is included." in response.text
    assert [row.server.name for row in ExcludedServer.objects.all()] == ["ps1"]


def test_device_that_is_no_content_server_cannot_be_excluded(client, alice, update, make_device):
    client.force_login(alice)

    response = client.post(address("exclude_server", make_device("ws")), follow=True)

    assert "ws is no content server. Nothing has changed." in response.text


def test_replicate_now_makes_it_due_and_asks_a_satellite_to_refresh(client, alice, update, now):
    Replication.objects.update(due_at=now + timedelta(hours=1))
    row = Replication.objects.get(server__name="cache")
    client.force_login(alice)

    response = client.post(address("replicate_now", row), follow=True)

    row.refresh_from_db()
    assert "cache fetches the content now." in response.text
    assert row.due_at < now + MINUTE
    assert Device.objects.asked_to_refresh().get().name == "cache"


def test_replicate_now_of_what_is_there_changes_nothing(client, alice, update):
    row = Replication.objects.get(server__name="ps1")
    client.force_login(alice)

    response = client.post(address("replicate_now", row), follow=True)

    assert "ps1 holds the content already. Nothing has changed." in response.text


@pytest.mark.parametrize("stem", ["exclude_server", "include_server", "replicate_now"])
def test_what_is_not_there_is_not_found(client, alice, stem):
    client.force_login(alice)

    assert client.post(reverse(f"systemupdates:{stem}", args=[777])).status_code == 404


def test_buttons_are_not_for_who_may_only_look(client, bob, update):
    row, ps2 = Replication.objects.get(server__name="ps2"), server("ps2")
    client.force_login(bob)

    answers = [
        client.post(address("replication_settings"), INTERVAL),
        client.post(address("exclude_server", ps2)),
        client.post(address("include_server", ps2)),
        client.post(address("replicate_now", row)),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 403]
    assert not ExcludedServer.objects.exists()


def test_page_and_dialog_show_what_holds(client, alice, update, now):
    Replication.objects.filter(server__name="ps2").move(
        to="failed", at=now, last_error="ps1: refused", received=7000
    )
    client.force_login(alice)

    page, dialog = client.get(address("content")), client.get(address("replication_settings"))

    found = [(row.server.name, row.held, row.offered) for row in page.context["servers"]]
    assert found == [("ps1", 1, 1), ("ps2", 0, 1), ("cache", 0, 1)]
    assert "ps1: refused" in page.text
    assert "50 %" in page.text
    assert page.text.count(">Replicate now</button>") == 2
    assert 'value="1"' in dialog.text
    assert 'value="hours" selected' in dialog.text


def test_satellite_is_told_the_throttle(update, now):
    content_servers.save_settings(
        update.zone, interval=None, fixed_times=[], throttle=250, by=None, now=now
    )
    Replication.objects.update(due_at=now)

    (item,) = api.content_for(server("cache"), now=now)

    assert item["throttle"] == 250_000


def test_no_device_is_sent_to_a_satellite_that_does_not_serve(make_device, update):
    Replication.objects.update(state="available")
    device, cache = make_device("ws"), Device.objects.filter(name="cache")

    def sources():
        return {source.name for source in actions.sources(update, device=device)}

    everybody = sources()
    cache.update(reported_roles=[], role_problem="Port 7481 at 10.0.0.5: Address already in use.")
    without = sources()
    cache.update(reported_roles=["content"], role_problem="")

    assert everybody - without == {"cache"}
    assert sources() == everybody


@pytest.mark.parametrize(
    ("reported", "problem", "sentence"),
    [
        ([], "Port 7481 is taken.", "It cannot serve: Port 7481 is taken. No device is sent to it"),
        ([], "", "It takes the role up at its next refresh; new updates wait for it."),
    ],
)
def test_satellite_that_has_not_taken_up_its_role_says_so(
    client, bob, update, reported, problem, sentence
):
    cache = Device.objects.filter(name="cache")
    cache.update(reported_roles=reported, role_problem=problem)
    client.force_login(bob)

    page = client.get(address("content")).text
    status = client.get(address("replication_status", update)).text

    assert "Included, not taken up" in page and sentence in page
    said = "It has not taken up the role Content Satellite."
    assert said in page and said in status and problem in status
    cache.update(reported_roles=["content"])
    assert "taken up" not in client.get(address("content")).text


def test_excluded_satellite_is_excluded_whatever_it_has_taken_up(client, alice, update):
    Device.objects.filter(name="cache").update(reported_roles=[])
    client.force_login(alice)

    client.post(address("exclude_server", server("cache")))

    assert "Included, not taken up" not in client.get(address("content")).text
