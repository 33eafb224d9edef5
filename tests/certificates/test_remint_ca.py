"""The button `Remint CA`."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from agent.manifest import MAX_ANCHORS
from certificates import activation
from certificates.models import Operation
from devices.models import Device
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused
from zcc.ground.time_zones import COOKIE
from zcc.templatetags.times import planned_text

URL = "/certificates/remint-ca/"


@pytest.fixture
def activate_at(now):
    """Tomorrow, to the minute: finer times are not asked for."""
    return (now + timedelta(days=1)).replace(second=0, microsecond=0)


@pytest.fixture
def data(activate_at):
    local = timezone.localtime(activate_at)
    return {
        "confirmed": "on",
        "common_name": "DEMO-ZONE",
        "key_type": "rsa-3072",
        "years": "5",
        "policy": "overlap",
        "include_additional_dns_names": "on",
        "activation_date": f"{local:%Y-%m-%d}",
        "activation_time": f"{local:%H:%M}",
        "password": PASSWORD,
        "idempotency_key": str(uuid.uuid4()),
    }


def test_remint_starts_an_operation(client, alice, ca, data, activate_at):
    client.force_login(alice)

    response = client.post(URL, data)

    operation = Operation.objects.get()
    assert_is_closed(response)
    assert (operation.old_ca, operation.created_by) == (ca, alice)
    assert (operation.years, operation.activate_at) == (5, activate_at)
    assert [(event.state, event.by) for event in operation.events.all()] == [("preparing", alice)]
    assert operation.servers.count() == 3


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("confirmed", "", "Tick the box if you want to remint the certificate authority."),
        ("years", "0", "A CA is valid for 1 to 10 years."),
        ("years", "11", "A CA is valid for 1 to 10 years."),
        ("years", "two", "A CA is valid for 1 to 10 years."),
        ("key_type", "rsa-1024", "rsa-1024"),
        ("common_name", "", "Enter a common name."),
        ("common_name", "x" * 65, "64"),
        ("common_name", "x" * 10_000, "64"),
        ("common_name", "bell\a", "common name"),
        ("common_name", "left\u202eright", "common name"),
        ("common_name", "party \U0001f389", "common name"),
        ("activation_date", "2020-01-01", "This time has passed."),
        ("activation_date", "2126-01-01", "The active CA expires before that"),
        ("activation_date", "9999-12-31", "The active CA expires before that"),
        ("activation_date", "soon", "This is not a date."),
        ("activation_time", "25:00", "This is not a time of day."),
        ("password", "wrong", "This is not your password."),
        ("password", "", "Enter your password."),
        ("idempotency_key", "", "Close it and open it again."),
    ],
)
def test_bad_input_gets_a_sentence(client, alice, ca, data, field, value, sentence):
    client.force_login(alice)

    response = client.post(URL, {**data, field: value})

    assert_is_refused(response, sentence)
    assert not Operation.objects.exists()


def test_time_that_the_clocks_skip_is_refused(client, alice, ca, data):
    client.force_login(alice)
    skipped = {"activation_date": "2030-03-31", "activation_time": "02:30"}

    client.cookies[COOKIE] = "Europe/Copenhagen"

    response = client.post(URL, {**data, **skipped})

    assert_is_refused(response, "skip 02:30")
    assert not Operation.objects.exists()


def test_too_soon_is_refused(client, alice, ca, data, now):
    client.force_login(alice)
    soon = timezone.localtime(now + timedelta(minutes=9))
    data |= {"activation_date": f"{soon:%Y-%m-%d}", "activation_time": f"{soon:%H:%M}"}

    assert_is_refused(client.post(URL, data), "This is too soon")


def test_values_survive_an_error_but_not_the_password(client, alice, ca, data):
    client.force_login(alice)

    response = client.post(URL, {**data, "common_name": "Kept", "years": "0"})

    assert 'value="Kept"' in response.text
    assert data["idempotency_key"] in response.text
    assert PASSWORD not in response.text


def test_who_may_only_look_cannot(client, bob, ca, data):
    client.force_login(bob)

    assert client.get(URL).status_code == 403
    assert client.post(URL, data).status_code == 403
    assert not Operation.objects.exists()


def test_remint_is_refused_while_another_operation_is_open(client, alice, make_operation, data):
    open_operation = make_operation()
    client.force_login(alice)

    response = client.post(URL, data)

    assert_is_refused(
        response, "Remint CA is in progress. Cancel it, or wait until it is activated."
    )
    assert Operation.objects.get() == open_operation


def test_same_form_sent_twice_starts_one_operation(client, alice, ca, data):
    client.force_login(alice)

    assert_is_closed(client.post(URL, data))
    assert_is_closed(client.post(URL, data))

    assert Operation.objects.count() == 1


def test_differing_versions_are_refused_by_name(client, alice, ca, data):
    Device.objects.filter(name="ps2").update(version="0.9")
    client.force_login(alice)

    assert_is_refused(client.post(URL, data), "ps2 has 0.9")


def test_silent_satellite_is_refused_until_it_is_waived(client, alice, ca, data, now):
    Device.objects.filter(name="auth1").update(last_contact_at=now - timedelta(days=3))
    client.force_login(alice)

    assert_is_refused(client.post(URL, data), "The version of auth1 is not known")
    assert_is_closed(client.post(URL, {**data, "waive_silent": "on"}))


def test_dialog_shows_its_fields(client, alice, ca):
    Device.objects.filter(name="ps1").update(additional_dns_names=["www.demo.zone"])
    client.force_login(alice)

    page = client.get(URL)

    for label in (
        "Yes, I want to remint the certificate authority",
        "Common name",
        "Key length",
        "Valid for (years)",
        "Include any additional DNS names for each server",
        "1 server has some: ps1.",
        "Certificate activation date and time",
        "Your password",
    ):
        assert label in page.text
    assert 'value="DEMO-ZONE"' in page.text
    assert "waive_silent" not in page.text


def test_time_before_the_recommended_one_draws_a_warning(client, alice, ca, now):
    client.force_login(alice)
    since = timezone.localtime(activation.recommendation(ca.zone, now=timezone.now()).since)

    def said(at):
        asked = {"activation_date": f"{at:%Y-%m-%d}", "activation_time": f"{at:%H:%M}"}
        return client.get(f"{URL}time/", asked).text

    assert "earlier than recommended" in said(since - timedelta(minutes=20))
    assert "earlier than recommended" not in said(since + timedelta(hours=1))


def test_chosen_time_is_spelled_out(client, alice, ca):
    client.force_login(alice)
    twice = {"activation_date": "2030-10-27", "activation_time": "02:30"}

    client.cookies[COOKIE] = "Europe/Copenhagen"

    answer = client.get(f"{URL}time/", twice)

    assert (
        "Sunday 27 October 2030, 02:30 CEST (UTC+02:00), the first of the two that night"
        in answer.text
    )


def test_button_says_why_it_is_disabled(client, alice, make_operation):
    operation = make_operation("replicating")
    client.force_login(alice)

    on = planned_text(operation.activate_at)
    sentence = f"Remint CA is in progress. Cancel it, or wait until it is activated on {on}."
    assert sentence in client.get("/certificates/").text


def test_button_works_again_in_overlap(client, alice, make_operation):
    make_operation("overlap")
    client.force_login(alice)

    assert 'hx-get="/certificates/remint-ca/"' in client.get("/certificates/").text


@pytest.fixture
def in_overlap(make_operation):
    return make_operation("overlap")


def test_remint_in_overlap_is_asked_first(client, alice, in_overlap, data):
    old = in_overlap.old_ca
    Device.objects.update(trusted_fingerprints=[old.sha256])
    Device.objects.filter(name="ps1").update(trusted_fingerprints=[in_overlap.new_ca.sha256])
    client.force_login(alice)

    page = " ".join(client.get(URL).text.split())

    assert f"1 previous CA is still trusted:</b> {old.named}." in page
    assert "2 devices still need it and come in by the link of generation 1." in page
    assert_is_refused(client.post(URL, data), "Tick the box if you want another CA beside those")
    assert Operation.objects.get() == in_overlap


def test_remint_in_overlap_begins_when_the_box_is_ticked(client, alice, in_overlap, data):
    client.force_login(alice)

    assert_is_closed(client.post(URL, {**data, "although_trusted": "on"}))

    assert Operation.objects.open().get().old_ca == in_overlap.new_ca


def test_nobody_is_asked_when_no_previous_ca_is_trusted(client, alice, ca):
    client.force_login(alice)

    assert "still trusted" not in client.get(URL).text


def test_remint_is_refused_when_devices_could_hold_no_more_anchors(client, alice, ca, data, now):
    for generation in range(2, MAX_ANCHORS + 1):
        building.make_authority(ca.zone, ca.server, now, generation=generation, state="superseded")
    client.force_login(alice)

    response = client.post(URL, {**data, "although_trusted": "on"})

    assert_is_refused(response, "20 CAs are trusted, and a device holds no more.")
    assert not Operation.objects.exists()
