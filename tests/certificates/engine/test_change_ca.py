"""Every direction of `Change CA`, in rows and files, with an external CA that openssl runs."""

import re
from datetime import timedelta

import pytest
from cryptography import x509

from agent import pem
from certificates import guard, keys, links, trust, update_key
from certificates.actions import authorities, decisions, key_requests, operations
from certificates.models import (
    CertificateAuthority,
    IssuedCertificate,
    LinkCertificate,
    LinkRequest,
    Operation,
    SealedTransfer,
    SealingKey,
    ServerCertificate,
)
from devices.models import Device
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.external_ca import BY_SERIAL, ExternalCA
from zcc.ground import clock, here


@pytest.fixture
def acme(tmp_path):
    return ExternalCA(tmp_path / "outside")


def chain_of(home):
    return [pem.fingerprint(one) for one in pem.split(home.live().chain_pem)]


def sha(certificate):
    return certificate.fingerprint(certificate.signature_hash_algorithm).hex()


def holders_of_the_update_key(living, homes):
    return [name for name in SERVERS if keys.has_update_key(homes[name], living.zone)]


def roll_back(living, operation):
    decisions.roll_back(operation, reason="printers refuse it", by=living.alice, now=clock.now())
    living.run()
    return Operation.objects.get(pk=operation.pk)


def retire(living, operation):
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()


# Internal to internal


def test_role_moves_to_another_server_with_the_activation(living, homes):
    operation = changing.carry_through(living, changing.to_internal(living, "ps2"))

    assert living.ca == operation.new_ca
    assert living.ca.server.name == "ps2"
    assert keys.has_ca_key(homes["ps2"], operation.guid)
    assert not keys.has_ca_key(homes["ps1"], operation.guid)
    link = LinkCertificate.objects.get(certified=operation.new_ca)
    for name, home in homes.items():
        current = ServerCertificate.objects.get(device__name=name, state="current")
        assert chain_of(home) == [current.sha256, link.sha256]


def test_each_ca_signs_the_link_on_its_own_server(living):
    operation = changing.carry_through(
        living, changing.to_internal(living, "ps2"), until="replicating"
    )

    signed = IssuedCertificate.objects.filter(purpose="link")
    assert {row.authority.server.name for row in signed} == {"ps1", "ps2"}
    assert set(LinkCertificate.objects.values_list("certified", "authority")) == {
        (operation.new_ca_id, operation.old_ca_id),
        (operation.old_ca_id, operation.new_ca_id),
    }
    assert not LinkRequest.objects.exists()


def test_update_key_travels_sealed_and_old_server_keeps_it_until_the_retirement(living, homes):
    operation = changing.carry_through(living, changing.to_internal(living, "ps2"))

    assert holders_of_the_update_key(living, homes) == ["ps1", "ps2"]
    assert trust.update_in(trust.published(living.zone))["activated"]
    retire(living, operation)

    assert holders_of_the_update_key(living, homes) == ["ps2"]
    assert len(trust.anchors_in(trust.published(living.zone))) == 1
    assert not SealedTransfer.objects.exists()


def test_preparation_waits_for_the_old_ca_server(living):
    living.fall_silent("ps1")
    operation = changing.to_internal(living, "ps2")
    living.run()
    operation.refresh_from_db()
    assert (operation.state, operation.problem) == ("preparing", "")
    assert SealedTransfer.objects.get().sealed is None

    living.beat("ps1")
    changing.carry_through(living, operation, until="replicating")


@pytest.mark.parametrize("forged", [{"public": b"\x09" + bytes(31)}, {"signature": None}])
def test_who_can_write_the_database_gets_no_update_key(living, forged):
    living.fall_silent("ps1")
    operation = changing.to_internal(living, "ps2")
    living.run()
    SealingKey.objects.filter(device__name="ps2").update(**forged)

    living.beat("ps1")
    living.run(only="give_key", turns=3)

    operation.refresh_from_db()
    assert re.search("is not its own|has not published the key", operation.problem)
    assert SealedTransfer.objects.get().sealed is None


def test_another_key_than_the_pinned_one_is_not_kept(living, homes):
    pinned = homes["ps2"].read_file(here.UPDATE_KEY)

    with pytest.raises(keys.KeyUnavailable, match="is not the update key of this zone"):
        keys.keep_update_key(homes["ps2"], living.zone, bytes(32), public=pinned)
    assert holders_of_the_update_key(living, homes) == ["ps1"]


def test_update_key_is_kept_while_the_role_is_on_its_way(living, homes):
    alive, now = Device.objects.get(name="ps2"), clock.now()
    raw = keys.load_update_key(homes["ps1"], living.zone)
    keys.keep_update_key(
        homes["ps2"],
        living.zone,
        raw.private_bytes_raw(),
        public=raw.public_key().public_bytes_raw(),
    )
    asker = key_requests.Asker(
        by=living.alice, server=Device.objects.get(name="ps1"), home=homes["ps1"]
    )
    request = key_requests.move_role(living.zone, alive, asker=asker, now=now)
    update_key.forget_unless_needed(alive, home=homes["ps2"])
    assert holders_of_the_update_key(living, homes) == ["ps1", "ps2"]

    request.delete()
    update_key.forget_unless_needed(alive, home=homes["ps2"])
    assert holders_of_the_update_key(living, homes) == ["ps1"]


@pytest.mark.parametrize("state", ["preparing", "replicating", "assigned"])
def test_cancel_leaves_neither_keys_nor_requests(living, homes, state):
    if state == "preparing":
        living.fall_silent("ps1")
    operation = changing.to_internal(living, "ps2")
    if state == "preparing":
        living.run()
        living.beat("ps1")
    else:
        operation = changing.carry_through(living, operation, until=state)

    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    assert Operation.objects.get().state == "cancelled"
    assert CertificateAuthority.objects.get(guid=operation.guid).state == "cancelled"
    assert not LinkCertificate.objects.filter(revoked_at=None).exists()
    assert not (LinkRequest.objects.exists() or SealedTransfer.objects.exists())
    assert not keys.has_ca_key(homes["ps2"], operation.guid)
    assert holders_of_the_update_key(living, homes) == ["ps1"]


def test_rollback_gives_the_role_back(living, homes):
    operation = changing.carry_through(living, changing.to_internal(living, "ps2"))

    operation = roll_back(living, operation)

    assert operation.state == "rolled_back"
    assert living.ca.server.name == "ps1"
    assert not trust.is_due(living.zone, now=clock.now())
    bridge = LinkCertificate.objects.get(certified=operation.old_ca)
    assert all(chain_of(home)[1:] == [bridge.sha256] for home in homes.values())


def test_remint_after_it_is_signed_on_the_new_server(living, homes):
    changing.carry_through(living, changing.to_internal(living, "ps2"))

    operation = changing.carry_through(living, changing.to_internal(living, "ps2"))

    signed = LinkCertificate.objects.filter(certified=operation.new_ca)
    assert operation.new_ca.generation == 3
    assert {(link.authority.generation, link.authority.server.name) for link in signed} == {
        (1, "ps1"),
        (2, "ps2"),
    }


def test_retired_server_cannot_be_the_new_ca_server(living):
    Device.objects.filter(name="ps3").update(retired_at=clock.now())

    with pytest.raises(authorities.Refused, match="ps3 is no Primary Server"):
        changing.to_internal(living, "ps3")


# Internal to external


def test_external_ca_takes_over_with_a_link_for_the_names_of_the_zone(living, homes, acme):
    operation = changing.carry_through(living, changing.to_external(living, acme), external=acme)

    link = LinkCertificate.objects.get()
    assert (link.certified, link.authority) == (operation.new_ca, operation.old_ca)
    assert link.subject == operation.new_ca.subject
    constraints = link.x509().extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = {str(name.value) for name in constraints.permitted_subtrees}
    assert permitted == {"test.zone", *(f"127.99.0.{number}/32" for number in (1, 2, 3))}
    assert operation.new_ca.sha256 == sha(acme.root)
    for name, home in homes.items():
        current = ServerCertificate.objects.get(device__name=name, state="current")
        assert chain_of(home) == [current.sha256, sha(acme.intermediate), link.sha256]
    assert {ca.sha256 for ca in guard.carriers(operation)} == {operation.old_ca.sha256}


def test_operation_from_another_console_is_prepared_there(living, homes, acme):
    operation = changing.to_external(living, acme, console="ps2")

    operation = changing.carry_through(living, operation, external=acme)

    assert operation.initiating_server.name == "ps2"
    assert homes["ps2"].has_content(operation.update.content_sha256)
    assert living.ca.server.name == "ps1"  # the update key has not moved
    assert holders_of_the_update_key(living, homes) == ["ps1"]
    assert LinkCertificate.objects.count() == 1


def test_intermediate_that_names_its_issuer_by_serial_leaves_no_link(living, homes, tmp_path):
    odd = ExternalCA(tmp_path / "outside", "Odd", intermediate_names_by=BY_SERIAL)

    operation = changing.carry_through(living, changing.to_external(living, odd), external=odd)

    assert not LinkCertificate.objects.exists()
    assert all(len(chain_of(home)) == 2 for home in homes.values())
    assert guard.carriers(operation) == [operation.old_ca]  # the rescue port


def test_external_operation_can_be_cancelled(living, homes, acme):
    operation = changing.to_external(living, acme)
    operation = changing.carry_through(living, operation, external=acme, until="assigned")

    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    assert Operation.objects.get().state == "cancelled"
    assert CertificateAuthority.objects.get(guid=operation.guid).state == "cancelled"
    assert LinkCertificate.objects.get().revoked_at is not None
    assert trust.anchors_in(trust.published(living.zone)) == [living.ca.sha256]
    assert holders_of_the_update_key(living, homes) == ["ps1"]


def test_external_operation_can_be_rolled_back(living, homes, acme):
    before = {name: chain_of(home) for name, home in homes.items()}
    operation = changing.carry_through(living, changing.to_external(living, acme), external=acme)

    operation = roll_back(living, operation)

    assert operation.state == "rolled_back"
    assert {name: chain_of(home) for name, home in homes.items()} == before
    assert links.for_leaf_of(operation.old_ca) is None


def test_root_that_ends_before_the_activation_is_refused(living, tmp_path):
    brief = ExternalCA(tmp_path / "outside", "Brief", days=1)

    with pytest.raises(authorities.Refused, match="The new root expires before that"):
        changing.to_external(living, brief, activate_at=clock.now() + timedelta(days=2))
    assert not Operation.objects.exists()


def test_external_operation_is_not_postponed_beyond_its_root(living, tmp_path):
    brief = ExternalCA(tmp_path / "outside", "Brief", days=2)
    operation = changing.to_external(living, brief)
    late = clock.now() + timedelta(days=3)

    with pytest.raises(decisions.NotPossibleNow, match="The new root expires before that"):
        decisions.postpone(operation, to=late, by=living.alice, now=clock.now())


# From an external CA


@pytest.fixture
def outside(living, acme):
    """The zone's CA is Acme's, and the internal one is retired."""
    operation = changing.carry_through(living, changing.to_external(living, acme), external=acme)
    retire(living, operation)
    return living


def test_external_to_internal_has_no_link_and_the_rescue_port(outside, homes, acme):
    operation = changing.carry_through(outside, changing.to_internal(outside, "ps3"))

    assert outside.ca.server.name == "ps3"
    assert not LinkCertificate.objects.filter(certified=operation.new_ca).exists()
    assert all(len(chain_of(home)) == 1 for home in homes.values())
    rescue = [pem.fingerprint(home.read_file("previous/ca.cert")) for home in homes.values()]
    assert set(rescue) == {sha(acme.root)}
    assert guard.carriers(operation) == [operation.old_ca]
    assert holders_of_the_update_key(outside, homes) == ["ps1", "ps3"]


def test_external_to_another_external(outside, homes, tmp_path):
    other = ExternalCA(tmp_path / "outside", "Other")

    operation = changing.carry_through(
        outside, changing.to_external(outside, other, console="ps2"), external=other
    )

    assert outside.ca.sha256 == sha(other.root)
    assert not LinkCertificate.objects.filter(certified=operation.new_ca).exists()
    assert len(trust.anchors_in(trust.published(outside.zone))) == 2
    retire(outside, operation)
    assert trust.anchors_in(trust.published(outside.zone)) == [sha(other.root)]


def test_renewal_under_the_same_root_changes_servers_only(outside, homes, acme):
    before = {name: chain_of(home)[0] for name, home in homes.items()}

    operation = changing.carry_through(outside, changing.to_external(outside, acme), external=acme)

    assert operation.is_same_root
    assert all(chain_of(home)[0] != before[name] for name, home in homes.items())
    assert all(len(home.anchors()) == 1 for home in homes.values())
    assert trust.anchors_in(trust.published(outside.zone)) == [sha(acme.root)]
    assert not guard.lost(operation).exists()
    retire(outside, operation)
    assert trust.anchors_in(trust.published(outside.zone)) == [sha(acme.root)]
    assert Operation.objects.get(pk=operation.pk).state == "completed"


def test_renewal_with_a_new_certificate_for_the_same_root_key(outside, acme):
    acme.days = 2000
    acme.root = acme.make_root("-set_serial", "77")

    operation = changing.carry_through(outside, changing.to_external(outside, acme), external=acme)

    assert not operation.is_same_root
    assert len(trust.anchors_in(trust.published(outside.zone))) == 2
    retire(outside, operation)
    assert trust.anchors_in(trust.published(outside.zone)) == [sha(acme.root)]


def test_internal_again_in_overlap_is_linked_by_the_oldest_ca_with_a_key(living, homes, acme):
    first = changing.carry_through(living, changing.to_external(living, acme), external=acme)

    second = changing.carry_through(living, changing.to_internal(living, "ps2"))

    link = LinkCertificate.objects.get(certified=second.new_ca)
    assert link.authority == first.old_ca
    assert all(chain_of(home)[1:] == [link.sha256] for home in homes.values())


def test_same_form_begins_one_operation(living, acme):
    known = changing.wishes()["idempotency_key"]

    first = changing.to_external(living, acme, idempotency_key=known)

    assert changing.to_external(living, acme, idempotency_key=known) == first
    assert here.home("ps1").read_file(f"ca/{first.guid}.key") is None
