"""Additional DNS names, heartbeats and contacts."""

from datetime import timedelta

import pytest

from devices import actions, contacts
from devices.models import Heartbeat, Zone
from zcc.ground import clock, here


def test_names_are_normalised_and_each_kept_once(make_device, alice, now):
    device = make_device("ps1", kind="primary")

    kept = actions.set_additional_dns_names(
        device, ["WWW.Example.com.", "www.example.com", "bücher.example"], by=alice, now=now
    )

    assert kept == ["www.example.com", "xn--bcher-kva.example"]
    device.refresh_from_db()
    assert device.additional_dns_names == kept


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("*.example.com", "wildcard"),
        ("under_score.example", "underscore"),
        ("10.0.0.1", "IP address"),
        ("other.test.zone", "belongs to other"),
        ("shared.example", "belongs to other"),
    ],
)
def test_name_that_does_not_fit_is_refused_and_nothing_changes(
    make_device, alice, now, name, sentence
):
    device = make_device("ps1", kind="primary", additional_dns_names=["kept.example"])
    make_device("other", kind="primary", additional_dns_names=["shared.example"])

    with pytest.raises(actions.InvalidNames, match=sentence):
        actions.set_additional_dns_names(device, ["good.example", name], by=alice, now=now)

    device.refresh_from_db()
    assert device.additional_dns_names == ["kept.example"]


def test_more_than_fifty_names_are_refused(make_device, alice, now):
    with pytest.raises(actions.InvalidNames, match="at most 50"):
        actions.set_additional_dns_names(
            make_device("ps1"), [f"n{n}.example" for n in range(51)], by=alice, now=now
        )


def test_server_with_a_heartbeat_is_alive_for_sixty_seconds(make_device, now):
    server = make_device("ps1", kind="primary")
    Heartbeat.objects.create(server=server, at=now)

    assert server.is_alive(now + timedelta(seconds=59))
    assert not server.is_alive(now + timedelta(seconds=61))


def test_clock_that_is_off_by_ten_seconds_is_an_alarm(make_device, now):
    server = make_device("ps1", kind="primary")

    actions.beat(server, tick_at=now, skew=timedelta(seconds=10), trusted=[], now=now)

    assert Heartbeat.objects.get().has_wrong_clock


def test_contact_with_nothing_new_writes_nothing_for_thirty_seconds(
    make_device, now, django_assert_num_queries
):
    device = make_device("ws1", last_contact_at=now, last_full_refresh_at=now)

    with django_assert_num_queries(0):
        contacts.record_contact(device, {"version": "1.0.0"}, now=now + timedelta(seconds=29))
    contacts.record_contact(device, {"version": "1.0.0"}, now=now + timedelta(seconds=31))

    device.refresh_from_db()
    assert device.last_contact_at == now + timedelta(seconds=31)


def test_refresh_that_was_asked_for_is_a_contact_at_once(make_device, now):
    device = make_device("ws1", last_contact_at=now, last_full_refresh_at=now)
    device.refresh_asked_at = now
    device.save()

    contacts.record_contact(device, {"version": "1.0.0"}, now=now + timedelta(seconds=3))

    device.refresh_from_db()
    assert device.last_contact_at == now + timedelta(seconds=3)
    assert device.refresh_asked_at is None


def test_one_tick_a_second_is_won(zone):
    now = clock.now()
    rows = Zone.objects.filter(pk=zone.pk)

    assert [rows.win_tick(at=now), rows.win_tick(at=now)] == [True, False]
    assert rows.win_tick(at=now + timedelta(seconds=1))


def test_what_a_device_refused_is_kept_until_it_refuses_again(make_device, now):
    device = make_device("ws1")
    told = {"server": "https://10.0.0.9:7444", "reason": "Not signed.", "at": now.isoformat()}

    contacts.record_contact(device, {"refusal": told}, now=now)
    contacts.record_contact(device, {"refusal": None}, now=now + timedelta(minutes=5))

    device.refresh_from_db()
    assert (device.refused, device.refused_at) == ("Not signed.", now)


@pytest.mark.parametrize(
    "told", [5, {}, {"reason": 5}, {"reason": ""}, {"at": "2026-11-26T00:00:00Z"}]
)
def test_refusal_without_a_reason_is_none(make_device, now, told):
    device = make_device("ws1")

    contacts.record_contact(device, {"refusal": told}, now=now)

    device.refresh_from_db()
    assert device.refused_at is None


def test_refusal_of_the_future_is_one_of_now(make_device, now):
    device = make_device("ws1")
    told = {"reason": "x" * 1000, "at": "9999-01-01T00:00:00Z"}

    contacts.record_contact(device, {"refusal": told}, now=now)

    device.refresh_from_db()
    assert (len(device.refused), device.refused_at) == (400, now)


def test_page_says_which_server_answered_the_last_refresh(
    client, bob, make_device, now, monkeypatch
):
    monkeypatch.setenv(here.VARIABLE, "ps2")
    device = make_device("ws1")
    client.force_login(bob)

    contacts.record_contact(device, {}, now=now)

    assert "answered by ps2" in client.get(f"/devices/{device.pk}/").text
