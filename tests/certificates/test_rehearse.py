"""`Rehearse`: the dialog, the page of a rehearsal with its report, and its `Cancel`."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from certificates import rehearsing
from certificates.actions import rehearsals
from certificates.models import Rehearsal
from certificates.models.rehearsal import IllegalTransition
from devices.models import Device
from tests.certificates import building
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

REHEARSE = "/certificates/rehearse/"


@pytest.fixture
def laptops(zone, ca, now):
    """Two test devices, and one that is none."""
    for name in ("ws1", "ws2", "ws3"):
        building.make_device(zone, name, now, kind="workstation", is_test=name != "ws3")
    return list(Device.objects.filter(is_test=True).order_by("name"))


@pytest.fixture
def rehearsal(zone, laptops, alice, now):
    minutes = timedelta(minutes=15)
    return rehearsals.start(zone, laptops, patience=minutes, by=alice, now=now)


def answers(chosen, **changes):
    return {"devices": [device.pk for device in chosen], "minutes": "15", **changes}


def page_of(row):
    return reverse("certificates:rehearsal", args=[row.pk])


def cancel_of(row):
    return reverse("certificates:cancel_rehearsal", args=[row.pk])


def test_rehearsal_starts_with_the_chosen_devices_and_says_by_whom(client, alice, laptops):
    client.force_login(alice)

    response = client.post(REHEARSE, answers(laptops[:1]))

    row = Rehearsal.objects.get()
    assert_is_closed(response, page_of(row))
    assert (row.state, row.patience) == ("preparing", timedelta(minutes=15))
    assert [one.device.name for one in row.devices.all()] == ["ws1"]
    assert [(event.state, event.by) for event in row.events.all()] == [("preparing", alice)]
    assert "A rehearsal is running." in client.get("/certificates/").text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"devices": []}, "Choose at least one test device."),
        ({"devices": ["0"]}, "One of these devices is not a test device any more."),
        ({"devices": ["'; --"]}, "One of these devices is not a test device any more."),
        ({"minutes": ""}, "Enter 1 to 1,440 minutes."),
        ({"minutes": "0"}, "Enter 1 to 1,440 minutes."),
        ({"minutes": "1441"}, "Enter 1 to 1,440 minutes."),
        ({"minutes": "soon"}, "Enter 1 to 1,440 minutes."),
    ],
)
def test_bad_answers_are_refused(client, alice, laptops, change, sentence):
    client.force_login(alice)

    assert_is_refused(client.post(REHEARSE, answers(laptops, **change)), sentence)
    assert not Rehearsal.objects.exists()


def test_device_without_the_mark_is_refused(client, alice, laptops):
    client.force_login(alice)

    response = client.post(REHEARSE, answers([Device.objects.get(name="ws3")]))

    assert_is_refused(response, "One of these devices is not a test device any more.")


def test_who_may_only_look_can_neither_start_nor_cancel(client, bob, laptops, rehearsal):
    client.force_login(bob)

    assert client.post(REHEARSE, answers(laptops)).status_code == 403
    assert client.post(cancel_of(rehearsal)).status_code == 403
    assert client.get(page_of(rehearsal)).status_code == 200
    assert Rehearsal.objects.get().state == "preparing"


def test_it_is_refused_while_an_operation_is_open(client, alice, laptops, make_operation):
    make_operation("assigned")
    client.force_login(alice)

    response = client.post(REHEARSE, answers(laptops))

    assert_is_refused(response, "Remint CA is in progress. A rehearsal can be run before")
    assert not Rehearsal.objects.exists()


def test_second_one_is_refused_and_leads_to_the_first(client, alice, laptops, rehearsal):
    client.force_login(alice)

    assert_is_refused(client.post(REHEARSE, answers(laptops)), "A rehearsal is running.")
    assert page_of(rehearsal) in client.get(REHEARSE).text


def test_dialog_shows_the_devices_and_what_is_left_alone(client, alice, laptops):
    client.force_login(alice)

    page = client.get(REHEARSE).text

    for text in ("ws1", "ws2", 'value="15"', "Wait for devices", "What it leaves alone"):
        assert text in page
    assert "ws3" not in page


def test_without_test_devices_the_dialog_says_how_to_mark_one(client, alice, ca):
    client.force_login(alice)

    page = client.get(REHEARSE).text

    assert "No device is a test device." in page
    assert "go to its Settings tab" in page
    assert_is_refused(client.post(REHEARSE, {"minutes": "15"}), "Choose at least one test device.")


def test_cancel_cleans_up_and_asks_the_devices_to_come(client, alice, laptops, rehearsal):
    client.force_login(alice)

    assert "Cancel the rehearsal?" in client.get(cancel_of(rehearsal)).text
    assert_is_closed(client.post(cancel_of(rehearsal)), page_of(rehearsal))

    rehearsal.refresh_from_db()
    assert (rehearsal.state, rehearsal.outcome) == ("cleaning", "cancelled")
    assert rehearsal.events.last().by == alice
    assert Device.objects.asked_to_refresh().count() == 2


def test_cancel_is_refused_when_it_is_over(client, alice, rehearsal, now):
    finish(rehearsal, now)
    client.force_login(alice)

    assert_is_refused(client.post(cancel_of(rehearsal)), "The rehearsal is over already")
    assert "over already" in client.get(cancel_of(rehearsal)).text


# How it goes on


def finish(row, now, *, outcome="finished"):
    row.mark_told({"trust": "{}", "switch": "{}", "end": "{}"}, at=now)
    row.mark_activated(at=now)
    row.start_cleaning(outcome, by=None, at=now)
    row.note_destroyed(at=now)
    row.refresh_from_db()
    rehearsals.advance(row, now=now)
    row.refresh_from_db()


def report(row, name, now, *steps, problem="", trust="ab" * 32):
    said = {"id": str(row.guid), "steps": list(steps), "problem": problem, "trust": trust}
    device = Device.objects.get(name=name)
    return rehearsals.tell(device, {"rehearsal": said}, now=now)


def test_report_says_who_passed_who_did_not_and_that_nothing_was_touched(
    client, bob, rehearsal, now
):
    rehearsal.mark_told({"trust": "{}", "switch": "{}", "end": "{}"}, at=now)
    rehearsals.tell(Device.objects.get(name="ws1"), {}, now=now)
    report(rehearsal, "ws1", now + timedelta(seconds=3), "trusted", "proven")
    rehearsal.mark_activated(at=now)
    report(rehearsal, "ws1", now, "trusted", "proven", "switched")
    report(rehearsal, "ws1", now, "trusted", "proven", "switched", "cleaned")
    rehearsal.start_cleaning("finished", by=None, at=now)
    rehearsal.note_destroyed(at=now)
    rehearsal.refresh_from_db()
    rehearsals.advance(rehearsal, now=now)
    client.force_login(bob)

    page = client.get(page_of(rehearsal)).text

    assert "1 of 2 devices passed the rehearsal." in page
    assert "It did not check in." in page
    assert "3.0 s in the median" in page
    assert "Nothing live was touched." in page
    assert "1 device." in page


def test_devices_of_the_report_lead_to_their_pages(client, bob, rehearsal):
    client.force_login(bob)

    page = client.get(page_of(rehearsal)).text

    for row in rehearsal.devices.select_related("device"):
        assert f'<a class="z-name" href="/devices/{row.device_id}/">{row.device.name}</a>' in page


def test_report_names_what_changed_meanwhile(client, bob, rehearsal, ca, servers, now):
    report(rehearsal, "ws1", now, "trusted")
    report(rehearsal, "ws1", now, "trusted", trust="cd" * 32)
    building.make_authority(ca.zone, ca.server, now, generation=7, state="superseded")
    servers[0].certificates.current().update(sha256="0" * 64)
    finish(rehearsal, now)
    client.force_login(bob)

    page = client.get(page_of(rehearsal)).text

    assert "Nothing live was touched." not in page
    for text in ("the CAs that are trusted", "certificate of ps1", "the trust file of ws1"):
        assert text in page


def test_problem_of_a_device_stands_beside_it(client, bob, rehearsal, now):
    problem = "The connection by the throw-away CA failed: <no route>"
    report(rehearsal, "ws1", now, "trusted", problem=problem)
    client.force_login(bob)

    assert "failed: &lt;no route&gt;" in client.get(page_of(rehearsal)).text


@pytest.mark.parametrize(
    "said",
    [5, [], {"id": 5}, {"id": "x", "steps": 5}, {"steps": ["proven"]}, {"id": None}],
)
def test_report_that_makes_no_sense_changes_nothing(rehearsal, now, said):
    device = Device.objects.get(name="ws1")
    before = list(rehearsal.devices.order_by("pk").values())

    assert rehearsals.tell(device, {"rehearsal": said}, now=now) is None
    assert list(rehearsal.devices.order_by("pk").values()) == before


def test_only_its_devices_are_told_and_each_what_is_due(rehearsal, now):
    envelopes = {"trust": "one", "switch": "two", "end": "three"}
    first, second, other = (Device.objects.get(name=name) for name in ("ws1", "ws2", "ws3"))
    assert rehearsals.tell(first, {}, now=now) is None
    rehearsal.mark_told(envelopes, at=now)

    assert (rehearsals.tell(first, {}, now=now), rehearsals.tell(other, {}, now=now)) == (
        "one",
        None,
    )
    rehearsal.mark_activated(at=now)
    assert rehearsals.tell(first, {}, now=now) == "two"
    rehearsal.start_cleaning("finished", by=None, at=now)
    assert rehearsals.tell(first, {}, now=now) == "three"
    assert rehearsals.tell(second, {}, now=now) is None  # it was never told of it
    assert report(rehearsal, "ws1", now, "cleaned") is None
    assert rehearsals.tell(first, {}, now=rehearsal.expires_at) is None


def test_server_that_does_not_prepare_it_ends_it(rehearsal, now):
    assert rehearsals.advance(rehearsal, now=now) is False

    assert rehearsals.advance(rehearsal, now=rehearsal.waits_until) is True

    assert (rehearsal.state, rehearsal.outcome) == ("cleaning", "failed")
    assert "did not prepare it in time" in rehearsal.problem


@pytest.mark.parametrize("state", ["preparing", "told"])
def test_server_that_is_lost_does_not_keep_it_open_for_ever(client, bob, rehearsal, now, state):
    if state == "told":
        rehearsal.mark_told({"trust": "one"}, at=now)
        assert rehearsals.advance(rehearsal, now=rehearsal.waits_until) is False
    while rehearsal.is_open:
        assert rehearsals.advance(rehearsal, now=rehearsal.expires_at) is True
    client.force_login(bob)

    page = client.get(page_of(rehearsal)).text

    assert rehearsal.state == "failed"
    assert "ps1 has not destroyed the throw-away certificate yet." in page


def test_slower_of_two_is_told_and_changes_nothing(rehearsal, now):
    stale = Rehearsal.objects.get(pk=rehearsal.pk)
    rehearsal.start_cleaning("cancelled", by=None, at=now)

    with pytest.raises(IllegalTransition):
        stale.mark_told({}, at=now)

    assert [event.state for event in rehearsal.events.all()] == ["preparing", "cleaning"]


def test_database_keeps_a_second_one_out(zone, ca, rehearsal, alice, now):
    facts = {"patience": timedelta(minutes=1), "created_by": alice, "server": ca.server}

    with pytest.raises(IntegrityError), transaction.atomic():
        Rehearsal.objects.create(zone=zone, created_at=now, changed_at=now, **facts)


def test_it_waits_for_its_devices_and_not_for_ever(rehearsal, now):
    rehearsal.mark_told({"trust": "one"}, at=now)
    assert rehearsing.due(rehearsal.zone, now=now) is None
    assert rehearsing.due(rehearsal.zone, now=rehearsal.waits_until) == rehearsal

    rehearsal.devices.update(proven_at=now)

    assert rehearsing.due(rehearsal.zone, now=now) == rehearsal


def test_past_rehearsals_are_listed_with_the_operations(client, bob, rehearsal, now):
    finish(rehearsal, now)
    client.force_login(bob)

    assert page_of(rehearsal) in client.get("/certificates/operations/").text


def test_devices_of_a_rehearsal_are_shown_a_page_at_a_time(client, bob, zone, ca, alice, now):
    for number in range(60):
        building.make_device(zone, f"lab-{number:02}", now, kind="workstation", is_test=True)
    chosen = list(Device.objects.filter(is_test=True))
    row = rehearsals.start(zone, chosen, patience=timedelta(minutes=15), by=alice, now=now)
    client.force_login(bob)

    first = client.get(page_of(row)).text
    following = re.search(rf'href="{page_of(row)}(\?after=[^"#]+)#rehearsed"', first)[1]
    second = client.get(page_of(row) + following).text

    assert "Shown: lab-00 to lab-49" in first
    assert ">lab-50<" not in first
    assert "Shown: lab-50 to lab-59" in second
    assert "after=" in re.search(r'id="rehearsal" data-live hx-get="([^"]+)"', second)[1]
    assert '<span class="z-count">60</span>' in first


def test_every_rehearsal_stays_within_reach(client, bob, rehearsal, now):
    finish(rehearsal, now)
    copies = [
        Rehearsal(
            **{
                field.attname: getattr(rehearsal, field.attname)
                for field in Rehearsal._meta.concrete_fields
                if field.name not in ("id", "guid", "created_at")
            },
            created_at=rehearsal.created_at - timedelta(days=age),
        )
        for age in range(1, 61)
    ]
    Rehearsal.objects.bulk_create(copies)
    client.force_login(bob)
    url = reverse("certificates:past_rehearsals")

    newest = client.get(url)
    older = client.get(url, {"after": newest.context["page"].next})

    assert url in client.get(reverse("certificates:operations")).text
    assert len(newest.context["page"].rows) == 50
    assert len(older.context["page"].rows) == 11


def test_list_before_the_first_rehearsal_says_how_to_begin(client, bob, zone):
    client.force_login(bob)

    assert "Nothing has been rehearsed yet" in client.get("/certificates/rehearsals/").text
