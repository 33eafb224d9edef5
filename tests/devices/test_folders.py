"""Folders: `Create folder`, `Rename`, `Delete`, `Move to folder`."""

import pytest
from django.urls import reverse

from devices import folders
from devices.models import Device, Folder, Kind, RegistrationKey

OSLO = "/Workstations/Oslo"
STEMS = ["create_folder", "rename_folder", "delete_folder"]


@pytest.fixture
def oslo(zone, now):
    folders.ensure(zone, f"{OSLO}/Lab", by=None, now=now)
    return Folder.objects.get(path=OSLO)


def address(folder, stem):
    return reverse(f"devices:{stem}", args=[folder.pk])


def paths():
    return sorted(Folder.objects.values_list("path", flat=True))


def move(client, folder, *devices):
    data = {"folder": folder.pk, "device": [device.pk for device in devices]}
    return client.post(reverse("devices:move_devices"), data)


def folder_of(device):
    return Device.objects.get(pk=device.pk).folder_path


def test_page_shows_every_zones_three_folders_and_what_is_in_them(
    client, bob, oslo, make_device, now
):
    make_device("a", folder=OSLO)
    make_device("b")
    make_device("gone", folder=OSLO, retired_at=now)
    client.force_login(bob)

    rows = client.get(reverse("devices:folders")).context["rows"]

    assert [(row.folder.path, row.number) for row in rows] == [
        ("/Servers", 0),
        ("/Workstations", 1),
        (OSLO, 1),
        (f"{OSLO}/Lab", 0),
        ("/Mobile Devices", 0),
    ]


def test_create_folder(client, alice, oslo):
    client.force_login(alice)

    response = client.post(address(oslo, "create_folder"), {"name": " Shop "}, follow=True)

    assert f"{OSLO}/Shop is created." in response.text
    assert f"{OSLO}/Shop" in paths()


@pytest.mark.parametrize(
    ("stem", "name", "sentence"),
    [
        ("create_folder", "", "Give the folder a name."),
        ("create_folder", "a/b", "no slash"),
        ("create_folder", "LAB", "There is a folder /Workstations/Oslo/LAB already."),
        ("create_folder", "x" * 61, "at most 60 characters"),
        ("rename_folder", "a\x07b", "printable"),
        ("rename_folder", "", "Give the folder a name."),
    ],
)
def test_name_that_does_not_fit_is_said(client, alice, oslo, stem, name, sentence):
    before = paths()
    client.force_login(alice)

    response = client.post(address(oslo, stem), {"name": name})

    assert response.status_code == 422
    assert sentence in response.text
    assert paths() == before


def test_path_cannot_grow_beyond_its_column(client, alice, oslo, now):
    for _ in range(2):
        oslo = folders.create(oslo, "x" * 45, by=alice, now=now)
    client.force_login(alice)

    deeper = client.post(address(oslo, "create_folder"), {"name": "y" * 20})
    longer = client.post(
        address(Folder.objects.get(path=OSLO), "rename_folder"), {"name": "z" * 60}
    )

    assert "at most 120 characters" in deeper.text
    assert "would exceed 120 characters" in longer.text


def test_what_is_in_a_renamed_folder_stays_in_it(client, alice, zone, oslo, make_device, now):
    device, other = make_device("a", folder=f"{OSLO}/Lab"), make_device("b", folder=f"{OSLO}-2")
    RegistrationKey.objects.create(zone=zone, name="key", key_hash="h", folder=OSLO, created_at=now)
    client.force_login(alice)

    response = client.post(address(oslo, "rename_folder"), {"name": "Bergen"})

    assert response.status_code == 303
    assert paths() == ["/Workstations", "/Workstations/Bergen", "/Workstations/Bergen/Lab"]
    assert folder_of(device) == "/Workstations/Bergen/Lab"
    assert folder_of(other) == f"{OSLO}-2"
    assert RegistrationKey.objects.get().folder == "/Workstations/Bergen"


def test_spelling_of_a_name_can_be_changed(client, alice, oslo):
    client.force_login(alice)

    client.post(address(oslo, "rename_folder"), {"name": "OSLO"})

    assert "/Workstations/OSLO" in paths()


def test_empty_folder_is_deleted(client, alice, oslo):
    client.force_login(alice)
    lab = Folder.objects.get(path=f"{OSLO}/Lab")

    response = client.post(address(lab, "delete_folder"), follow=True)

    assert "/Workstations/Oslo/Lab is deleted." in response.text
    assert f"{OSLO}/Lab" not in paths()


@pytest.mark.parametrize("held", ["folder", "device", "retired", "key"])
def test_folder_that_is_not_empty_stays(client, alice, zone, oslo, make_device, now, held):
    if held != "folder":
        Folder.objects.get(path=f"{OSLO}/Lab").delete()
    if held in ("device", "retired"):
        make_device("a", folder=OSLO, retired_at=now if held == "retired" else None)
    if held == "key":
        RegistrationKey.objects.create(
            zone=zone, name="Laptops", key_hash="h", folder=OSLO, created_at=now
        )
    client.force_login(alice)

    response = client.post(address(oslo, "delete_folder"))

    said = {"key": "the registration key Laptops: revoke it first", "folder": "/Lab is in it."}
    assert response.status_code == 422
    assert said.get(held, "a is in it.") in response.text
    assert OSLO in paths()


def test_folder_that_holds_several_says_how_many(client, alice, oslo, make_device):
    Folder.objects.get(path=f"{OSLO}/Lab").delete()
    for name in ("a", "b", "c"):
        make_device(name, folder=OSLO)
    client.force_login(alice)

    assert "a and 2 others are in it." in client.post(address(oslo, "delete_folder")).text


@pytest.mark.parametrize("stem", ["rename_folder", "delete_folder"])
def test_the_three_folders_of_a_zone_stay(client, alice, oslo, stem):
    root = Folder.objects.get(path="/Workstations")
    client.force_login(alice)

    response = client.post(address(root, stem), {"name": "Other"})

    assert response.status_code == 422
    assert "one of the three folders of every zone" in response.text
    assert "/Workstations" in paths()


@pytest.mark.parametrize("stem", STEMS)
def test_who_may_only_look_cannot(client, bob, oslo, stem):
    before = paths()
    client.force_login(bob)

    assert client.post(address(oslo, stem), {"name": "Other"}).status_code == 403
    assert paths() == before


@pytest.mark.parametrize(
    ("stem", "shown"),
    [
        ("create_folder", 'name="name"'),
        ("rename_folder", 'value="Oslo"'),
        ("delete_folder", "is not empty"),
    ],
)
def test_dialog_shows_its_fields(client, alice, oslo, stem, shown):
    client.force_login(alice)

    assert shown in client.get(address(oslo, stem)).text


def test_devices_are_moved_and_back(client, alice, oslo, make_device):
    one, two = make_device("a"), make_device("b", folder=OSLO)
    client.force_login(alice)

    response = move(client, oslo, one, two)
    there = folder_of(one)
    move(client, Folder.objects.get(path="/Workstations"), one, two)

    assert response.url == reverse("devices:index")
    assert there == OSLO
    assert [folder_of(one), folder_of(two)] == ["/Workstations", "/Workstations"]


def test_folder_for_another_kind_is_refused(client, alice, oslo, make_device, now):
    server = make_device("s", kind=Kind.SERVER)
    client.force_login(alice)

    response = move(client, oslo, server)

    assert response.status_code == 422
    assert "Choose another one." in response.text
    assert folder_of(server) == "/Servers"
    with pytest.raises(folders.NotPossible, match="its folders are /Servers"):
        folders.move([server], oslo, by=alice, now=now)


def test_devices_of_different_kinds_are_moved_each_on_their_own(client, alice, oslo, make_device):
    devices = [make_device("s", kind=Kind.SERVER), make_device("w")]
    client.force_login(alice)

    assert "of different kinds" in move(client, oslo, *devices).text
    assert [folder_of(device) for device in devices] == ["/Servers", "/Workstations"]


def test_folder_that_was_renamed_meanwhile_takes_nobody(oslo, make_device, now):
    stale = Folder.objects.get(pk=oslo.pk)
    folders.rename(oslo, "Bergen", by=None, now=now)

    with pytest.raises(folders.NotPossible, match="renamed or deleted"):
        folders.move([make_device("a")], stale, by=None, now=now)


@pytest.mark.parametrize("devices", [[], ["x"], ["9" * 30], ["77"]])
def test_no_device_is_said(client, alice, oslo, devices):
    client.force_login(alice)
    url = reverse("devices:move_devices")

    assert client.post(url, {"folder": oslo.pk, "device": devices}).status_code == 422
    assert "No device is selected." in client.get(url, {"device": devices}).text


def test_moving_is_not_for_who_may_only_look(client, bob, oslo, make_device):
    device = make_device("a")
    client.force_login(bob)

    assert move(client, oslo, device).status_code == 403
    assert folder_of(device) == "/Workstations"


def test_move_dialog_offers_the_folders_of_the_kind(client, alice, zone, oslo, make_device, now):
    folders.ensure(zone, "/Servers/Core", by=None, now=now)
    device = make_device("a")
    client.force_login(alice)

    text = client.get(reverse("devices:move_devices"), {"device": device.pk}).text

    assert f">{OSLO}/Lab</option>" in text
    assert ">/Servers/Core</option>" not in text
    assert f'name="device" value="{device.pk}"' in text


def test_device_joins_the_folder_of_its_key_unless_that_is_for_another_kind(make_device):
    device, server = make_device("a"), make_device("s", kind=Kind.SERVER)

    assert folders.place_for(device, OSLO) == OSLO
    assert folders.place_for(server, OSLO) == "/"


def test_number_of_a_folder_is_that_of_the_devices_its_link_shows(client, bob, oslo, make_device):
    make_device("a", folder=OSLO)
    make_device("b", folder=f"{OSLO}/Lab")
    client.force_login(bob)

    response = client.get(reverse("devices:folders"))

    row = next(row for row in response.context["rows"] if row.folder == oslo)
    shown = client.get(f"/devices/?{row.query}").context["listing"].page.rows
    assert (row.total, row.number, len(shown)) == (2, 1, 2)
    assert "1 directly in it" in response.text
