"""Back to the old CA, from Activating and from Overlap; and Strict, which has no overlap."""

from datetime import timedelta

import pytest

from agent import pem
from certificates import api, links, trust
from certificates.actions import authorities, decisions
from certificates.models import CertificateAuthority, Operation, ServerCertificate
from devices.models import Device
from tests.certificates.engine.conftest import SERVERS, new_server
from zcc.ground import clock, here


def sent_by(home):
    return pem.split(home.live().chain_pem)


def leaves(homes):
    return {name: home.live().leaf_sha256 for name, home in homes.items()}


def state_of(ca):
    return CertificateAuthority.objects.get(pk=ca.pk).state


def roll_back(living, operation):
    decisions.roll_back(operation, reason="readers refuse it", by=living.alice, now=clock.now())


@pytest.fixture
def before(living, homes):
    return leaves(homes)


def test_every_server_shows_its_old_certificate_and_the_backward_link(living, homes, before):
    operation = living.reach("overlap")
    assert all(leaves(homes)[name] != before[name] for name in SERVERS)

    roll_back(living, operation)
    living.run()

    operation.refresh_from_db()
    assert operation.state == "rolled_back"
    assert leaves(homes) == before
    assert (state_of(operation.old_ca), state_of(operation.new_ca)) == ("active", "superseded")
    bridge = links.bridge(operation)
    assert all(sent_by(homes[name])[1:] == pem.split(bridge) for name in SERVERS)
    rows = ServerCertificate.objects.current().filter(device__name__in=SERVERS)
    assert {row.device.name: row.sha256 for row in rows} == before
    assert not any(home.content_items() for home in homes.values())
    reasons = operation.events.filter(state="rolling_back").values_list("note", flat=True)
    assert list(reasons) == ["Reason: readers refuse it"]


def test_devices_are_told_to_trust_both_and_nothing_of_the_update(living, before):
    operation = living.reach("overlap")
    roll_back(living, operation)
    living.run()

    published = trust.published(living.zone)

    wanted = [operation.old_ca.sha256, operation.new_ca.sha256]
    assert sorted(trust.anchors_in(published)) == sorted(wanted)
    assert trust.update_in(published) is None


def test_rollback_while_only_some_have_switched(living, homes, before):
    operation = living.reach("armed")
    living.fall_silent("ps3")
    operation = Operation.objects.get(pk=operation.pk)
    living.run(at=operation.activate_at)
    switched = [name for name in SERVERS if leaves(homes)[name] != before[name]]
    assert sorted(switched) == ["ps1", "ps2"]

    operation.refresh_from_db()
    roll_back(living, operation)
    living.run()
    assert Operation.objects.get(pk=operation.pk).state == "rolled_back"
    living.beat("ps3")
    living.run()

    assert leaves(homes) == before
    assert homes["ps3"].staged() is None
    assert not operation.servers.filter(rolled_back_at=None).exists()


def test_another_operation_completes_after_it(living, homes, before):
    first = living.reach("overlap")
    roll_back(living, first)
    living.run()

    second = living.reach("overlap")

    assert second.new_ca.generation == 3
    link = links.for_leaf_of(second.new_ca)
    assert all(sent_by(homes[name])[1:] == pem.split(link) for name in SERVERS)
    authorities.retire_old_ca(second, by=living.alice, now=clock.now())
    living.run()
    assert [state_of(ca) for ca in (first.old_ca, first.new_ca)] == ["retired", "retired"]
    assert all(len(sent_by(homes[name])) == 1 for name in SERVERS)


def test_rollback_is_refused_when_there_is_nothing_to_go_back_to(living):
    operation = living.reach("assigned")
    with pytest.raises(decisions.NotPossibleNow, match="Cancel the operation instead"):
        roll_back(living, operation)
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    operation.refresh_from_db()
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    with pytest.raises(decisions.NotPossibleNow, match="is retired"):
        roll_back(living, Operation.objects.get(pk=operation.pk))


def test_rollback_is_refused_while_another_operation_is_open(living):
    first = living.reach("overlap")
    living.remint()

    with pytest.raises(decisions.NotPossibleNow, match="Another operation is in progress"):
        roll_back(living, first)


def test_satellite_goes_back_when_it_is_told(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh(3)
    before = auth1.home.live().leaf_sha256
    Device.objects.filter(pk=auth1.row.pk).update(trusted_fingerprints=[living.ca.sha256])
    operation = living.reach("assigned")
    auth1.refresh(3)
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    auth1.home.activate(str(operation.guid))
    auth1.refresh(2)
    assert auth1.shows_its_row() and auth1.home.live().leaf_sha256 != before

    operation.refresh_from_db()
    roll_back(living, operation)
    living.run()
    auth1.refresh(2)

    assert auth1.home.live().leaf_sha256 == before
    assert auth1.shows_its_row()
    assert not operation.servers.filter(rolled_back_at=None).exists()


def test_strict_sends_no_link_and_ends_with_the_activation(living, homes):
    ws1 = Device.objects.get(name="ws1")
    Device.objects.filter(pk=ws1.pk).update(retired_at=clock.now())
    operation = living.reach("assigned", policy="strict")
    living.run(at=operation.cutoff_at)
    assert all(len(sent_by(home)) == 1 for home in homes.values())

    living.run(at=operation.activate_at)

    operation.refresh_from_db()
    assert operation.state == "completed"
    assert state_of(operation.old_ca) == "retired"
    assert all(len(sent_by(home)) == 1 for home in homes.values())
    assert trust.anchors_in(trust.published(living.zone)) == [operation.new_ca.sha256]


def test_server_that_joins_in_overlap_sends_the_link(living, homes):
    operation = living.reach("overlap")
    living.join(new_server(4))
    living.beat("ps4")
    living.run()
    new = here.home("ps4")

    assert sent_by(new)[1:] == pem.split(links.carrier(operation))
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    assert len(sent_by(new)) == 1


def test_need_of_the_old_ca_is_noted(living):
    operation = living.reach("overlap")
    ws1 = Device.objects.get(name="ws1")
    Device.objects.filter(pk=ws1.pk).update(trusted_fingerprints=[operation.old_ca.sha256])
    now = clock.now() + timedelta(days=1)

    api.record(Device.objects.get(pk=ws1.pk), {}, now=now)

    assert Operation.objects.get(pk=operation.pk).needed_at == now
