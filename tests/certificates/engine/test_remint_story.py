"""A remint from the click to the retirement, in rows and files."""

from datetime import timedelta

import pytest

from agent import pem
from certificates import trust
from certificates.actions import authorities, operations
from certificates.models import (
    CertificateAuthority,
    IssuedCertificate,
    LinkCertificate,
    Operation,
    ServerCertificate,
)
from systemupdates.models import DeviceUpdate, DeviceUpdateEvent
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock, here


def chain_of(home):
    return pem.split(home.live().chain_pem)


def states(rows):
    return list(rows.values_list("state", flat=True))


def test_remint_is_prepared_on_the_ca_server(living, homes):
    operation = living.reach("replicating")

    assert operation.new_ca.generation == 2
    assert operation.new_ca.state == "future"
    assert homes["ps1"].read_file(f"ca/{operation.guid}.key")
    assert homes["ps1"].has_content(operation.update.content_sha256)
    assert LinkCertificate.objects.count() == 2


def test_every_server_has_a_future_certificate_of_the_new_ca(living):
    operation = living.reach("replicating")

    future = ServerCertificate.objects.filter(state="future")
    assert {row.device.name for row in future} == set(SERVERS)
    assert {row.authority_id for row in future} == {operation.new_ca_id}


def test_nothing_live_changes_before_it_is_armed(living, homes):
    before = {name: home.read_file("security/server.pem") for name, home in homes.items()}
    operation = living.reach("assigned")

    assert {name: home.read_file("security/server.pem") for name, home in homes.items()} == before
    assert all(home.staged().operation == str(operation.guid) for home in homes.values())


def test_it_is_assigned_by_itself_when_replicated(living):
    operation = living.reach("assigned")

    event = operation.events.get(state="assigned")
    assert event.by is None
    assert DeviceUpdate.objects.get(device__name="ws1").state == "assigned"
    assert states(DeviceUpdate.objects.filter(device__kind="primary")) == ["pending"] * 3


def test_armed_servers_send_the_bridge(living, homes):
    operation = living.reach("armed")

    bridge = LinkCertificate.objects.get(certified=operation.old_ca, authority=operation.new_ca)
    for home in homes.values():
        assert [pem.fingerprint(one) for one in chain_of(home)][1:] == [bridge.sha256]


def test_a_server_that_is_armed_holds_the_signed_go_ahead(living, homes):
    operation = living.reach("armed")

    for home in homes.values():
        go_ahead = home.armed(home.read_file(here.UPDATE_KEY))
        assert go_ahead.operation == str(operation.guid)
        assert go_ahead.activate_at == operation.activate_at


def test_at_the_activation_every_server_switches_and_sends_the_link(living, homes):
    operation = living.reach("overlap")

    link = LinkCertificate.objects.get(certified=operation.new_ca)
    for name, home in homes.items():
        current = ServerCertificate.objects.get(device__name=name, state="current")
        assert [pem.fingerprint(one) for one in chain_of(home)] == [current.sha256, link.sha256]
    assert living.ca == operation.new_ca
    operation.old_ca.refresh_from_db()
    assert operation.old_ca.state == "superseded"


def test_retirement_ends_the_link_and_the_trust_in_the_old_ca(living, homes):
    operation = living.reach("completed")

    for home in homes.values():
        assert len(chain_of(home)) == 1
        assert [pem.fingerprint(one) for one in home.anchors()] == [operation.new_ca.sha256]
        assert not list((home.path / "previous").iterdir())
    assert operation.events.get(state="completed").by == living.alice


def test_every_change_of_state_is_one_event(living):
    operation = living.reach("completed")

    expected = "preparing replicating assigned armed activating overlap completed"
    assert states(operation.events.order_by("pk")) == expected.split()
    steps = DeviceUpdateEvent.objects.filter(device_update__device__name="ps2")
    assert states(steps.order_by("pk")) == [
        "assigned",
        "download",
        "update",
        "pending",
        "completed",
    ]


def test_every_signature_is_accounted_for(living):
    living.reach("completed")

    rows = IssuedCertificate.objects.all()
    assert not rows.filter(der=None).exists()
    # Two roots, three first and three future server certificates, two links.
    assert sorted(rows.values_list("purpose", flat=True)) == sorted(
        ["ca"] * 2 + ["link"] * 2 + ["server"] * 6
    )


def test_trust_manifest_says_what_each_phase_needs(living):
    operation = living.reach("replicating")
    assert len(trust.wanted(living.zone)["anchors"]) == 1
    assert trust.wanted(living.zone)["update"] is None

    living.replicate_now()
    living.run()
    wanted = trust.wanted(living.zone)
    assert len(wanted["anchors"]) == 2
    assert (wanted["update"]["armed"], wanted["update"]["activated"]) == (False, False)

    living.run(at=operation.activate_at - timedelta(minutes=9))
    assert trust.wanted(living.zone)["update"]["armed"]
    living.run(at=operation.activate_at)
    assert trust.wanted(living.zone)["update"]["activated"]


def test_epochs_only_rise(living):
    living.reach("completed")

    epochs = list(living.zone.trust.order_by("pk").values_list("epoch", flat=True))
    assert epochs == list(range(1, len(epochs) + 1))
    assert not trust.is_due(living.zone, now=clock.now())


def test_order_is_initiating_server_then_primary_servers_then_the_rest(living):
    living.remint()
    living.run()
    living.replicate_now()
    living.run()

    done = DeviceUpdateEvent.objects.filter(state="pending").order_by("pk")
    names = list(done.values_list("device_update__device__name", flat=True))
    assert names[0] == "ps1"
    assert DeviceUpdate.objects.get(device__name="ws1").is_released


def test_late_server_holds_nobody_up_and_catches_up(living, homes):
    operation = living.reach("replicating")
    living.replicate_now()
    living.fall_silent("ps3")
    operations.assign_now(operation, by=living.alice, now=clock.now())
    living.run(at=operation.activate_at - timedelta(minutes=9))
    living.run(at=operation.activate_at)
    operation.refresh_from_db()
    assert operation.state == "overlap"
    assert homes["ps3"].live().operation is None

    living.beat("ps3")
    living.run()

    assert homes["ps3"].live().operation == str(operation.guid)


def test_unassigned_operation_is_held_and_does_not_activate(living):
    operation = living.reach("replicating")

    living.run(at=operation.activate_at + timedelta(hours=1), only="nothing", turns=3)

    operation.refresh_from_db()
    assert operation.state == "replicating"
    assert "ps2, ps3 has not received the content" in operation.held_reason
    assert operation.can_cancel(operation.activate_at)


def test_assign_now_on_a_held_operation_moves_the_activation_by_the_cutoff(living, settings):
    operation = living.reach("replicating")
    late = operation.activate_at + timedelta(hours=1)
    living.run(at=late, only="nothing", turns=2)
    living.replicate_now()

    operations.assign_now(operation, by=living.alice, now=late)
    living.run(at=late)

    operation.refresh_from_db()
    assert operation.state == "armed"
    assert operation.activate_at == late + settings.ZCC_CANCEL_CUTOFF


def test_second_remint_after_the_first_is_the_third_generation(living, homes):
    living.reach("completed")

    operation = living.reach("overlap")

    assert operation.new_ca.generation == 3
    assert CertificateAuthority.objects.filter(state="active").get() == operation.new_ca
    assert {home.live().operation for home in homes.values()} == {str(operation.guid)}


def test_remint_in_overlap_sends_the_link_of_the_oldest_trusted_ca(living, homes):
    first = living.reach("overlap")

    second = living.reach("overlap")

    oldest = LinkCertificate.objects.get(certified=second.new_ca, authority=first.old_ca)
    sent = pem.split(homes["ps1"].live().chain_pem)[1:]
    assert [pem.fingerprint(link) for link in sent] == [oldest.sha256]
    assert len(trust.wanted(living.zone)["anchors"]) == 3
    authorities.retire_old_ca(second, by=living.alice, now=clock.now())
    assert states(Operation.objects.order_by("pk")) == ["completed", "completed"]
    assert len(trust.wanted(living.zone)["anchors"]) == 1


def test_expired_old_ca_ends_the_overlap(living):
    operation = living.reach("overlap")

    living.run(at=operation.old_ca.expires_at)

    operation.refresh_from_db()
    assert operation.state == "completed"


def test_a_retired_ca_cannot_be_retired_twice(living):
    operation = living.reach("completed")

    with pytest.raises(authorities.Refused, match="retired already"):
        authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
