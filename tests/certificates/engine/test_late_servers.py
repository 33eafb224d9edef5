"""Servers that come late: to a cancel, to the activation, to the retirement."""

from datetime import timedelta

import pytest

from agent import pem
from certificates import due
from certificates.actions import authorities, operations
from certificates.models import ServerCertificate
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock


def steps_due(living):
    rows = [ring for ring in due.rings(living.zone, now=clock.now()) if "server_step" in ring.task]
    return len(rows)


def test_failed_cancel_makes_nothing_new_on_a_server_that_comes_back(living, homes):
    operation = living.remint()
    living.fall_silent("ps3")
    living.run()
    operations.cancel(operation, by=living.alice, now=clock.now())
    operation.fail_cancel("ps2 did not confirm.", at=clock.now())
    living.beat("ps3")

    living.run()

    assert not list((homes["ps3"].path / "remint-repo").iterdir())
    assert operation.servers.get(device__name="ps3").requested_at is None
    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()
    operation.refresh_from_db()
    assert operation.state == "cancelled"


@pytest.mark.parametrize("silent_from", ["replicating", "assigned", "armed"])
def test_server_away_until_after_the_retirement_gets_the_new_certificate(
    living, homes, silent_from
):
    operation = living.reach(silent_from)
    living.fall_silent("ps3")
    if silent_from == "replicating":
        living.replicate_now()
        operations.assign_now(operation, by=living.alice, now=clock.now())
    living.run(at=operation.activate_at - timedelta(minutes=9))
    living.run(at=operation.activate_at)
    operation.refresh_from_db()
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    assert homes["ps3"].live().operation is None

    living.beat("ps3")
    living.run()

    assert homes["ps3"].live().operation == str(operation.guid)
    assert len(pem.split(homes["ps3"].live().chain_pem)) == 1
    assert len(homes["ps3"].anchors()) == 1
    current = ServerCertificate.objects.current().get(device__name="ps3")
    assert current.authority == operation.new_ca
    assert steps_due(living) == 0


def test_server_that_skipped_a_generation_is_not_taken_back_to_it(living, homes):
    living.reach("assigned")
    living.fall_silent("ps3")
    first = living.zone.operations.get()
    living.run(at=first.activate_at - timedelta(minutes=9))
    living.run(at=first.activate_at)
    living.beat("ps3")
    second = living.reach("completed")

    assert {homes[name].live().operation for name in SERVERS} == {str(second.guid)}
    assert steps_due(living) == 0


def test_late_end_of_one_overlap_keeps_the_link_of_the_next(living, homes):
    first = living.reach("completed")
    second = living.reach("overlap")
    linked = homes["ps1"].live().chain_pem
    first.servers.filter(device__name="ps1").update(retired_at=None)

    living.run()

    assert first.servers.get(device__name="ps1").retired_at is not None
    assert homes["ps1"].live().chain_pem == linked
    assert len(pem.split(linked)) == 2
    assert homes["ps1"].live().operation == str(second.guid)


def test_devices_turn_comes_also_after_the_activation(living):
    operation = living.reach("overlap")
    type(operation.update).objects.update(wave=1)

    living.run()

    operation.update.refresh_from_db()
    assert operation.update.wave == 2


def test_server_that_skipped_a_generation_is_not_pending_in_its_update(living):
    first = living.reach("armed")
    living.fall_silent("ps3")
    living.run(at=first.activate_at)
    living.beat("ps3")
    row = first.update.device_updates.get(device__name="ps3")
    assert row.state == "pending"

    living.reach("overlap")

    row.refresh_from_db()
    assert row.state == "completed"
    assert row.reason.startswith("Overtaken by Remint CA")
