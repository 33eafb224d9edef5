"""The dialogs `Postpone`, `Sign off` and `Roll back`, and what the pane says of them."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from certificates.models import CertificateAuthority, Operation, SignOff
from certificates.standing import Standing
from devices.models import Device
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


def address(name, operation):
    return reverse(f"certificates:{name}", args=[operation.pk])


@pytest.fixture
def held(make_operation, zone, now):
    """An operation that is held because one workstation trusts nobody of the zone."""
    operation = make_operation("assigned", activate_at=now + timedelta(minutes=9))
    stray = building.make_device(zone, "stray-1", now, kind="workstation")
    Device.objects.filter(pk=stray.pk).update(trusted_fingerprints=["ab" * 32])
    operation.hold("1 device would be lost at the activation: stray-1.", at=now)
    return operation


@pytest.fixture
def stray(held):
    return Device.objects.get(name="stray-1")


def at(when):
    local = timezone.localtime(when)
    return {"activation_date": f"{local:%Y-%m-%d}", "activation_time": f"{local:%H:%M}"}


def test_pane_names_the_device_and_offers_both_ways_out(client, alice, held):
    client.force_login(alice)

    page = client.get("/certificates/").text

    assert "The Remint CA operation is held. It does not activate by itself." in page
    assert "Postpone it, or sign off 1 device." in page
    assert "Devices that would be lost" in page
    assert "It trusts no CA that the link or the rescue port speaks for" in page
    for button in ("postpone", "sign-off", "cancel"):
        assert f'id="{button}"' in page


@pytest.mark.parametrize("path", ["/", "/devices/", "/system-updates/"])
def test_hold_is_on_every_page(client, alice, held, path):
    client.force_login(alice)

    page = client.get(path).text

    assert "Remint CA is held and does not activate by itself." in page
    assert "stray-1" in page


def test_postponed_operation_has_another_time_and_is_not_held(client, alice, held, now):
    client.force_login(alice)
    later = (now + timedelta(days=3)).replace(second=0, microsecond=0)

    assert_is_closed(client.post(address("postpone", held), at(later)))

    operation = Operation.objects.get()
    assert (operation.activate_at, operation.held_reason) == (later, "")
    assert operation.events.last().note.startswith("Postponed from ")
    assert operation.events.last().by == alice


def test_time_that_cannot_be_is_refused_with_the_reason(client, alice, held, now):
    client.force_login(alice)

    soon = client.post(address("postpone", held), at(now + timedelta(minutes=2)))
    never = client.post(address("postpone", held), {"activation_date": "x"})

    assert_is_refused(soon, "This is too soon")
    assert_is_refused(never, "This is not a date.")
    assert Operation.objects.get().held_reason


def test_sign_off_needs_the_list_a_reason_and_the_password(client, alice, held, stray):
    client.force_login(alice)
    url = address("sign_off", held)
    assert "stray-1" in client.get(url).text
    good = {"devices": str(stray.pk), "reason": "on the shelf", "password": PASSWORD}

    assert_is_refused(client.post(url, {**good, "reason": ""}), "Say why")
    assert_is_refused(client.post(url, {**good, "password": "x"}), "not your password")
    assert_is_refused(client.post(url, {**good, "devices": ""}), "another device would be lost")
    assert_is_refused(client.post(url, {**good, "devices": "x"}), "This form is incomplete")
    assert not SignOff.objects.exists()
    assert_is_closed(client.post(url, good))

    signed = SignOff.objects.get()
    assert (signed.devices, signed.reason, signed.by) == (
        [[stray.pk, "stray-1"]],
        "on the shelf",
        alice,
    )


def test_timeline_does_not_take_a_sign_off_for_the_assignment(client, alice, held, stray, now):
    was_assigned = Standing(held.zone, now=now).events["assigned"]
    client.force_login(alice)
    good = {"devices": str(stray.pk), "reason": "on the shelf", "password": PASSWORD}

    assert_is_closed(client.post(address("sign_off", held), good))

    assert Standing(held.zone, now=now).events["assigned"] == was_assigned


def test_nobody_is_signed_off_when_nobody_would_be_lost(client, alice, make_operation):
    operation = make_operation("assigned")
    client.force_login(alice)

    assert "There is nobody to sign off." in client.get(address("sign_off", operation)).text


def test_rollback_says_what_happens_and_needs_a_reason(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)
    url = address("roll_back", operation)

    page = client.get(url).text
    assert "show their old certificates again" in page
    assert_is_refused(client.post(url, {"password": PASSWORD}), "Say why")
    good = {"reason": "card readers", "password": PASSWORD}
    assert_is_closed(client.post(url, good))

    assert Operation.objects.get().state == "rolling_back"
    assert "The old CA is active again." in client.get("/certificates/").text
    assert_is_refused(client.post(url, good), "is rolled back already")


@pytest.mark.parametrize("state", ["assigned", "armed"])
def test_rollback_is_refused_where_there_is_nothing_to_roll_back(
    client, alice, make_operation, state
):
    operation = make_operation(state)
    client.force_login(alice)
    good = {"reason": "card readers", "password": PASSWORD}

    response = client.post(address("roll_back", operation), good)

    assert response.status_code == 422
    assert Operation.objects.get().state == state


@pytest.mark.parametrize("name", ["postpone", "sign_off", "roll_back"])
def test_who_may_only_look_cannot(client, bob, make_operation, name):
    operation = make_operation("assigned")
    client.force_login(bob)

    assert client.post(address(name, operation)).status_code == 403


@pytest.mark.parametrize("policy", ["", "both"])
def test_policy_must_be_one_of_the_two(client, alice, ca, now, policy):
    client.force_login(alice)

    response = client.post("/certificates/remint-ca/", {"policy": policy})

    assert response.status_code == 422
    assert not Operation.objects.exists()


def another(first, alice, now):
    """A second operation that begins while the first one is in Overlap."""
    active = CertificateAuthority.objects.get(state="active")
    return building.prepare(building.make_operation(active, by=alice, now=now), now)


def test_button_says_why_it_cannot_be_pressed_while_another_operation_is_open(
    client, alice, make_operation, now
):
    first = make_operation("overlap")
    client.force_login(alice)
    page_of_first = reverse("certificates:operation", args=[first.pk])
    assert f'href="{address("roll_back", first)}"' in client.get(page_of_first).text

    another(first, alice, now)

    page = client.get(page_of_first).text
    assert 'id="why-roll-back">Another operation is in progress. Cancel it first.</span>' in page
    assert f'href="{address("roll_back", first)}"' not in page


def test_facts_name_each_ca_while_another_operation_is_open(client, alice, make_operation, now):
    first = make_operation("overlap")
    another(first, alice, now)
    client.force_login(alice)

    page = client.get("/certificates/").text

    old = first.old_ca.named
    assert "<dt>Future CA</dt>" in page and "<dt>Old CA</dt>" in page
    assert f">{old}</a>" in page and f">Active CA signed by {old}</a>" in page
    assert "<dt>Old CA expires</dt>" in page
