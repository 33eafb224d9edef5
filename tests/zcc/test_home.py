"""Home: is the zone all right, what is happening, what must be done next."""

from datetime import timedelta

import pytest

from certificates.models import CertificateAuthority, Rehearsal, VerifiedBackup
from devices.models import Heartbeat, Kind
from systemupdates.models.device_update import State
from tests.certificates.building import make_operation
from tests.people_and_devices import alice, bob, make_device, make_update, now, zone

__all__ = ["alice", "bob", "make_device", "make_update", "now", "zone"]


@pytest.fixture(autouse=True)
def signed_in(client, bob):
    client.force_login(bob)


@pytest.fixture
def make_ca(zone, make_device, now):
    def make(*, days):
        server = make_device("ps1", kind=Kind.PRIMARY_SERVER, last_contact_at=now)
        Heartbeat.objects.create(server=server, at=now, tick_at=now)
        return CertificateAuthority.objects.create(
            zone=zone,
            kind="internal",
            state="active",
            generation=1,
            server=server,
            created_at=now,
            subject="CN=TEST-ZONE",
            valid_from=now - timedelta(days=365),
            expires_at=now + timedelta(days=days, hours=1),
        )

    return make


def answers(client):
    found = client.get("/").context["home"].answers
    return [(answer.family, answer.say) for _, answer in found.pairs]


def test_home_without_a_zone_says_what_to_do(client, db):
    assert "This server has no zone yet" in client.get("/").text


def test_zone_at_rest_is_all_right(client, make_ca, bob, now):
    ca = make_ca(days=300)
    VerifiedBackup.objects.create(authority=ca, file_sha256="ab" * 32, by=bob, at=now)

    assert answers(client) == [
        ("ok", "All right. All certificates are in force."),
        ("mute", "Nothing is in progress."),
        ("next", "Nothing today."),
    ]
    assert "Nothing needs attention" in client.get("/").text


def test_home_does_not_contradict_what_must_be_done_next(client, make_ca):
    make_ca(days=300)

    page = client.get("/").text

    assert "Back up the CA." in page
    assert "Nothing else needs attention" in page


def test_what_the_third_answer_leaves_out_needs_attention(client, make_ca, make_device, zone):
    make_ca(days=300)
    make_device("lost", kind="workstation", trusted_fingerprints=["ab" * 32])
    make_device("phone", kind="mobile")

    page = client.get("/").text

    assert "Run the Certificate Updater Tool on 1 device." in page
    assert "1 mobile cannot come back by itself" in page
    assert "The key of the CA has no verified backup" in page


def test_missing_backup_needs_attention_during_an_operation_too(client, make_ca, bob, now):
    make_operation(make_ca(days=300), by=bob, now=now)

    assert "The key of the CA has no verified backup" in client.get("/").text
    assert "has no verified backup" not in str(answers(client))


@pytest.mark.parametrize(
    ("days", "title"),
    [(90, None), (89, "The Zone CA will expire in 89 days"), (-1, "The Zone CA has expired")],
)
def test_ca_that_ends_needs_attention_from_90_days_on(client, make_ca, days, title):
    make_ca(days=days)

    titles = [item.title for item in client.get("/").context["home"].attention]

    assert [one for one in titles if "expire" in one] == ([title] if title else [])


def test_expired_ca_is_not_said_to_be_replaced_in_time(client, make_ca):
    make_ca(days=-1)

    item = client.get("/").context["home"].attention[0]

    assert item.text.startswith("It ended ")
    assert item.text.endswith(" Remint CA or Change CA replaces it at once.")


def test_expired_ca_is_not_all_right(client, make_ca):
    make_ca(days=-1)

    assert answers(client)[0] == ("bad", "The Zone CA has expired.")


def test_silent_primary_server_is_named(client, make_ca, make_device, now):
    make_ca(days=300)
    make_device("ps2", kind=Kind.PRIMARY_SERVER, last_contact_at=now - timedelta(minutes=6))

    assert answers(client)[0][0] == "warn"
    assert "ps2 has not reported for 6 min" in client.get("/").text


def test_clock_that_is_off_is_named(client, make_ca, now):
    make_ca(days=300)
    Heartbeat.objects.update(skew=timedelta(seconds=-11))

    assert "The clock of ps1 is 11 s slow" in client.get("/").text


def test_pages_say_when_the_workers_are_silent(client, make_ca, now):
    make_ca(days=300)
    fresh = client.get("/").text
    Heartbeat.objects.update(tick_at=now - timedelta(minutes=4))
    stale = client.get("/").text

    sentence = "The zone&#x27;s workers have not reported for"
    assert sentence.replace("&#x27;", "'") not in fresh
    assert sentence.replace("&#x27;", "'") in stale


def test_badge_is_there_only_while_an_update_is_deployed(client, make_ca, make_update, now):
    make_ca(days=300)
    before = client.get("/").text
    update = make_update(assigned=True)
    during = client.get("/").text
    update.device_updates.all().move(to=State.COMPLETED, by=None, at=now)
    after = client.get("/").text

    assert ["z-count is-run" in text for text in (before, during, after)] == [False, True, False]


def test_number_of_queries_does_not_grow_with_the_zone(
    client, make_ca, make_device, django_assert_max_num_queries
):
    make_ca(days=300)
    for number in range(30):
        make_device(f"c{number}", is_content_satellite=True)

    with django_assert_max_num_queries(34):  # one asks PostgreSQL for the time
        client.get("/")


def test_rehearsal_is_what_is_happening(client, make_ca, zone, alice, now):
    server = make_ca(days=300).server
    Rehearsal.objects.create(
        zone=zone,
        server=server,
        patience=timedelta(hours=1),
        created_by=alice,
        created_at=now,
        changed_at=now,
        before={},
    )

    assert answers(client)[1] == ("run", "A rehearsal is running.")
