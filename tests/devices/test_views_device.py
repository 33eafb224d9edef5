"""The pages of one device: Summary and Settings."""

from datetime import timedelta

import pytest

from devices.models import Kind

LINES = "Print.Test.Zone\n\n  mail.test.zone \n"


def test_summary_shows_what_is_known(client, bob, make_device, now):
    device = make_device("osl", clock_offset=-timedelta(hours=9, minutes=2))
    client.force_login(bob)

    response = client.get(f"/devices/{device.pk}/")

    assert response.status_code == 200
    for fact in ["osl.test.zone", "10.1.2.3", str(device.guid), "9 h 2 min slow"]:
        assert fact in response.text


def test_summary_says_what_the_device_refused(client, bob, make_device, now):
    device = make_device("osl", refused="A manifest of <another> zone.", refused_at=now)
    client.force_login(bob)

    text = client.get(f"/devices/{device.pk}/").text

    assert "This device refused what a server sent it." in text
    assert "A manifest of &lt;another&gt; zone." in text


@pytest.mark.parametrize(("minutes", "family"), [(1, "ok"), (24 * 60, "ok"), (24 * 60 + 2, "warn")])
def test_device_is_silent_after_two_missed_refreshes(
    client, bob, make_device, now, minutes, family
):
    device = make_device("osl", last_contact_at=now - timedelta(minutes=minutes))
    client.force_login(bob)

    response = client.get(f"/devices/{device.pk}/")

    assert response.context["standing"].family == family


def test_unknown_device_is_not_found(client, bob):
    client.force_login(bob)

    assert client.get("/devices/77/").status_code == 404


def test_settings_say_when_a_name_takes_effect(client, alice, make_device):
    device = make_device("osl")
    client.force_login(alice)

    text = client.get(f"/devices/{device.pk}/settings/").text

    assert "future certificate Outdated, and Certificates offers to mend that" in text
    assert "takes effect with the next one" not in text


def test_settings_saves_the_names_normalised_and_says_so(client, alice, make_device):
    device = make_device("osl")
    client.force_login(alice)

    response = client.post(f"/devices/{device.pk}/settings/", {"names": LINES}, follow=True)

    device.refresh_from_db()
    assert device.additional_dns_names == ["print.test.zone", "mail.test.zone"]
    assert response.redirect_chain == [(f"/devices/{device.pk}/settings/", 302)]
    assert "The additional DNS names of osl are saved." in response.text


@pytest.mark.parametrize("line", ["*.test.zone", "under_score.zone", "10.0.0.1", "-x.zone"])
def test_settings_refuses_what_is_no_host_name_and_keeps_what_was_typed(
    client, alice, make_device, line
):
    device = make_device("osl", additional_dns_names=["old.test.zone"])
    client.force_login(alice)

    response = client.post(f"/devices/{device.pk}/settings/", {"names": f"good.zone\n{line}"})

    device.refresh_from_db()
    assert response.status_code == 422
    assert device.additional_dns_names == ["old.test.zone"]
    assert "The names were not saved." in response.text
    assert line in response.text and "good.zone" in response.text


def test_settings_refuses_a_name_of_another_server(client, alice, make_device):
    make_device("ps1", kind=Kind.PRIMARY_SERVER)
    device = make_device("osl")
    client.force_login(alice)

    response = client.post(f"/devices/{device.pk}/settings/", {"names": "ps1.test.zone"})

    assert response.status_code == 422
    assert "ps1.test.zone belongs to ps1." in response.text


def test_settings_are_not_for_who_may_only_look(client, bob, make_device):
    device = make_device("osl")
    client.force_login(bob)

    shown = client.get(f"/devices/{device.pk}/settings/")
    refused = client.post(f"/devices/{device.pk}/settings/", {"names": LINES})

    device.refresh_from_db()
    assert 'aria-disabled="true"' in shown.text
    assert refused.status_code == 403
    assert device.additional_dns_names == []


def test_certificates_are_loaded_into_the_page(client, bob, make_device):
    device = make_device("osl")
    client.force_login(bob)

    response = client.get(f"/devices/{device.pk}/certificates/")

    assert 'hx-trigger="load"' in response.text


def mark(client, device, **data):
    return client.post(f"/devices/{device.pk}/test-device/", data)


def test_device_is_marked_for_rehearsals_and_the_mark_taken_away(client, alice, make_device):
    device = make_device("osl", kind=Kind.WORKSTATION)
    client.force_login(alice)
    assert "Test device" in client.get(f"/devices/{device.pk}/settings/").text

    for data, is_test in [({"is_test": "on"}, True), ({}, False)]:
        assert mark(client, device, **data).status_code == 302
        device.refresh_from_db()
        assert device.is_test is is_test


@pytest.mark.parametrize("kind", [Kind.PRIMARY_SERVER, Kind.MOBILE])
def test_what_runs_no_agent_is_not_marked(client, alice, make_device, kind):
    device = make_device("osl", kind=kind)
    client.force_login(alice)

    response = client.post(f"/devices/{device.pk}/test-device/", {"is_test": "on"}, follow=True)

    device.refresh_from_db()
    assert not device.is_test
    assert "takes part in no rehearsal" in response.text


def test_who_may_only_look_marks_nothing(client, bob, make_device):
    device = make_device("osl", kind=Kind.WORKSTATION)
    client.force_login(bob)

    assert mark(client, device, is_test="on").status_code == 403
    device.refresh_from_db()
    assert not device.is_test


def test_list_shows_the_test_devices(client, bob, make_device):
    make_device("osl", kind=Kind.WORKSTATION, is_test=True)
    make_device("fra", kind=Kind.WORKSTATION)
    client.force_login(bob)

    page = client.get("/devices/?role=test").text

    assert ">osl<" in page
    assert ">fra<" not in page
