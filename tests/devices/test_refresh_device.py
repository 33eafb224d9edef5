"""The quick task `Refresh Device`."""

from django.urls import reverse

from devices.models import Device


def address(device):
    return reverse("devices:refresh_device", args=[device.pk])


def test_device_is_asked_and_the_page_says_so(client, alice, make_device):
    device = make_device("ws1")
    client.force_login(alice)

    response = client.post(address(device), follow=True)

    assert Device.objects.get().refresh_asked_at is not None
    assert "ws1 is asked to refresh." in response.text
    assert "not answered yet" in response.text


def test_retired_device_cannot_be_asked(client, alice, make_device, now):
    device = make_device("ws1", retired_at=now)
    client.force_login(alice)

    response = client.post(address(device), follow=True)

    assert "ws1 cannot be asked to refresh." in response.text
    assert Device.objects.get().refresh_asked_at is None


def test_primary_server_has_no_such_button(client, alice, make_device):
    device = make_device("ps1", kind="primary")
    client.force_login(alice)

    page = client.get(reverse("devices:summary", args=[device.pk])).text

    assert "Refresh Device" not in page


def test_who_may_only_look_cannot(client, bob, make_device):
    device = make_device("ws1")
    client.force_login(bob)

    assert client.post(address(device)).status_code == 403
    page = client.get(reverse("devices:summary", args=[device.pk])).text
    assert "Your account lacks the right to manage devices." in page
    assert Device.objects.get().refresh_asked_at is None


def test_it_takes_a_post(client, alice, make_device):
    client.force_login(alice)

    assert client.get(address(make_device("ws1"))).status_code == 405


def test_chosen_devices_of_an_update_are_asked_at_once(client, alice, make_device, make_update):
    first, second, other = (make_device(name) for name in ("a", "b", "c"))
    update = make_update(assigned=True)
    client.force_login(alice)

    client.post(f"/system-updates/{update.pk}/refresh/", {"device": [first.pk, second.pk]})

    asked = Device.objects.asked_to_refresh().order_by("name")
    assert [device.name for device in asked] == ["a", "b"]
    assert other.refresh_asked_at is None
