"""The page `Certificate authorities`: every generation, and what has become of its key."""

from datetime import timedelta

from django.urls import reverse

from certificates.actions import authorities, decisions
from certificates.models import CertificateAuthority, KeyEnd, Operation
from tests.certificates import building

ADDRESS = "/certificates/authorities/"


def retired(operation, by, now):
    authorities.retire_old_ca(operation, by=by, now=now)
    return CertificateAuthority.objects.get(pk=operation.old_ca_id)


def test_every_generation_is_listed_newest_first(client, bob, make_operation):
    operation = make_operation("overlap")
    client.force_login(bob)

    page = client.get(ADDRESS).text

    assert page.index(operation.new_ca.named) < page.index(operation.old_ca.named)
    assert "Still trusted" in page
    assert "On ps1, encrypted" in page
    assert reverse("certificates:retire_old_ca", args=[operation.pk]) not in page


def test_who_may_manage_finds_the_dialog_that_retires(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    page = client.get(ADDRESS).text

    assert reverse("certificates:retire_old_ca", args=[operation.pk]) in page
    assert page.count("btn-danger-quiet") == 1


def test_rolled_back_ca_is_retired_alone_also_beside_a_later_overlap(
    client, alice, make_operation, now
):
    first = make_operation("overlap")
    decisions.roll_back(first, reason="readers refuse it", by=alice, now=now)
    first.finish_rollback(at=now)
    active = CertificateAuthority.objects.get(state="active")
    third = building.make_authority(
        active.zone, active.server, now, generation=3, state="future", at=now
    )
    second = building.make_operation(active, by=alice, now=now)
    active.supersede()
    third.activate(at=now)
    Operation.objects.filter(pk=second.pk).update(state="overlap", new_ca=third)
    client.force_login(alice)

    page = client.get(ADDRESS).text

    assert reverse("certificates:retire_rolled_back_ca", args=[first.pk]) in page
    assert reverse("certificates:retire_old_ca", args=[second.pk]) in page


def test_page_says_when_the_key_of_a_retired_ca_ends(client, alice, make_operation, now):
    ca = retired(make_operation("overlap"), alice, now)
    KeyEnd.objects.update(due_at=now + timedelta(days=40))
    client.force_login(alice)

    for address in (ADDRESS, reverse("certificates:view_certificate", args=["ca", ca.pk])):
        page = client.get(address).text
        assert "Still on ps1" in page
        assert "when all that it signed has expired." in page


def test_page_says_why_a_key_could_not_be_destroyed(client, alice, make_operation, now):
    retired(make_operation("overlap"), alice, now)
    KeyEnd.objects.update(problem="Read-only file system.")
    client.force_login(alice)

    page = client.get(ADDRESS).text

    assert "It could not be destroyed" in page
    assert "Read-only file system. It is tried again by itself." in page


def test_page_says_that_a_server_which_is_away_destroys_it_later(
    client, alice, make_operation, servers, now
):
    retired(make_operation("overlap"), alice, now)
    KeyEnd.objects.update(due_at=now)
    servers[0].heartbeat.delete()
    client.force_login(alice)

    assert "ps1 does not answer." in client.get(ADDRESS).text


def test_destroyed_key_is_said_to_be(client, alice, make_operation, now):
    ca = retired(make_operation("overlap"), alice, now)
    ca.mark_key_destroyed(at=now)
    client.force_login(alice)

    assert "Destroyed" in client.get(ADDRESS).text
    assert "Copies in backups are not touched." in client.get(ADDRESS).text


def test_page_costs_no_query_a_device(client, bob, make_operation, django_assert_max_num_queries):
    make_operation("overlap")
    client.force_login(bob)

    with django_assert_max_num_queries(30):
        client.get(ADDRESS)
