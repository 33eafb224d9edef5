"""Deployment stages: created, renamed, ordered, deleted, and devices put into them."""

import pytest
from django.urls import reverse

from systemupdates import stages
from systemupdates.models import DeploymentStage, StageMember

INDEX = "/system-updates/"
STEMS = ["rename_stage", "delete_stage", "shift_stage"]


@pytest.fixture
def pilot(zone, now):
    first = stages.create(zone, "Pilot", by=None, now=now)
    stages.create(zone, "Branches", by=None, now=now)
    stages.create(zone, "Everyone", by=None, now=now)
    return first


def address(stem, *stage):
    return reverse(f"systemupdates:{stem}", args=[found.pk for found in stage])


def names():
    return list(DeploymentStage.objects.values_list("name", flat=True))


def members():
    rows = StageMember.objects.order_by("device__name")
    return list(rows.values_list("device__name", "stage__name"))


def test_stage_is_created_behind_the_others(client, alice, pilot):
    client.force_login(alice)

    response = client.post(address("create_stage"), {"name": "Late"}, follow=True)

    assert "The stage Late is created." in response.text
    assert names() == ["Pilot", "Branches", "Everyone", "Late"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Give the stage a name."),
        ("BRANCHES", "There is a stage BRANCHES already."),
        ("a\x07b", "printable"),
        ("x" * 65, "at most 64 characters"),
    ],
)
@pytest.mark.parametrize("stem", ["create_stage", "rename_stage"])
def test_name_that_does_not_fit_is_said(client, alice, pilot, stem, name, sentence):
    client.force_login(alice)
    url = address(stem, pilot) if stem == "rename_stage" else address(stem)

    response = client.post(url, {"name": name})

    assert response.status_code == 422
    assert sentence in response.text
    assert names() == ["Pilot", "Branches", "Everyone"]


def test_zone_has_so_many_stages_at_most(client, alice, zone):
    rows = (DeploymentStage(zone=zone, name=f"s{n}", position=n) for n in range(stages.MOST))
    DeploymentStage.objects.bulk_create(rows)
    client.force_login(alice)

    assert "at most 50 stages" in client.post(address("create_stage"), {"name": "x"}).text


def test_stage_is_renamed_and_keeps_its_devices(client, alice, pilot, make_device, now):
    stages.assign([make_device("a")], pilot, by=None, now=now)
    client.force_login(alice)

    client.post(address("rename_stage", pilot), {"name": "PILOT"})

    assert members() == [("a", "PILOT")]


def test_deleted_stage_leaves_its_devices_in_none(client, alice, pilot, make_device, now):
    device = make_device("a")
    stages.assign([device], pilot, by=None, now=now)
    client.force_login(alice)

    client.post(address("delete_stage", pilot))

    device.refresh_from_db()
    assert (names(), members()) == (["Branches", "Everyone"], [])


@pytest.mark.parametrize(
    ("to", "after"),
    [
        ("down", ["Branches", "Pilot", "Everyone"]),
        ("up", ["Pilot", "Branches", "Everyone"]),
        ("sideways", ["Pilot", "Branches", "Everyone"]),
    ],
)
def test_order_is_changed_by_one_place(client, alice, pilot, to, after):
    client.force_login(alice)

    response = client.post(address("shift_stage", pilot), {"to": to}, follow=True)

    assert names() == after
    assert ("The stage Pilot stays where it is." in response.text) == (to != "down")


@pytest.mark.parametrize("stem", STEMS)
def test_who_may_only_look_cannot(client, bob, pilot, stem):
    client.force_login(bob)

    assert client.post(address(stem, pilot), {"name": "x", "to": "down"}).status_code == 403
    assert client.post(address("create_stage"), {"name": "x"}).status_code == 403
    assert names() == ["Pilot", "Branches", "Everyone"]


def test_device_is_in_one_stage_at_most_and_can_leave_it(client, alice, pilot, make_device, now):
    a, b = make_device("a"), make_device("b")
    last = DeploymentStage.objects.last()
    client.force_login(alice)
    found = []

    for stage, chosen in [(pilot.pk, [a, b]), (last.pk, [b]), ("", [a])]:
        data = {"stage": stage, "device": [device.pk for device in chosen]}
        assert client.post(address("assign_stage"), data).status_code == 303
        found.append(members())

    assert found == [
        [("a", "Pilot"), ("b", "Pilot")],
        [("a", "Pilot"), ("b", "Everyone")],
        [("b", "Everyone")],
    ]


@pytest.mark.parametrize(
    ("stage", "device", "sentence"),
    [
        ("9999", True, "This stage is not there any more."),
        ("x", True, "This stage is not there any more."),
        ("", False, "No device is selected."),
    ],
)
def test_assignment_that_makes_no_sense_is_said(
    client, alice, pilot, make_device, stage, device, sentence
):
    pk = make_device("a").pk
    client.force_login(alice)

    response = client.post(
        address("assign_stage"), {"stage": stage, "device": [pk] if device else []}
    )

    assert response.status_code == 422
    assert sentence in response.text
    assert members() == []


def test_assignment_without_stages_says_so(client, alice, make_device):
    client.force_login(alice)

    text = client.get(address("assign_stage"), {"device": make_device("a").pk}).text

    assert "This zone has no stages. Create one first." in text


def test_assignment_is_not_for_who_may_only_look(client, bob, pilot, make_device, now):
    client.force_login(bob)
    data = {"stage": pilot.pk, "device": [make_device("a").pk]}

    assert client.post(address("assign_stage"), data).status_code == 403
    assert members() == []


def test_dialogs_show_their_fields(client, alice, pilot, make_device, now):
    client.force_login(alice)

    assert 'name="name"' in client.get(address("create_stage")).text
    assert 'value="Pilot"' in client.get(address("rename_stage", pilot)).text
    assert "in no stage then" in client.get(address("delete_stage", pilot)).text
    text = client.get(address("assign_stage"), {"device": make_device("a").pk}).text
    assert ">No stage</option>" in text
    assert ">Everyone</option>" in text


def test_pages_show_the_stages_in_order_without_the_retired(client, bob, pilot, make_device, now):
    stages.assign([make_device("a"), make_device("b", retired_at=now)], pilot, by=None, now=now)
    client.force_login(bob)

    index, page = client.get(INDEX), client.get(address("stage", pilot))

    found = [(stage.name, stage.number) for stage in index.context["stages"]]
    assert found == [("Pilot", 1), ("Branches", 0), ("Everyone", 0)]
    assert "Certificate updates ignore stages: they go to all devices at once." in index.text
    assert [member.device.name for member in page.context["page"].rows] == ["a"]


def test_certificate_update_ignores_stages(pilot, make_device, make_update, now):
    stages.assign([make_device("a")], pilot, by=None, now=now)
    make_device("b")

    update = make_update(assigned=True)

    assert update.device_updates.count() == 3
