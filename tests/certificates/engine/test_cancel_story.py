"""Cancel: what was made is gone, and what fails can be tried again."""

from datetime import timedelta

import pytest

from agent import satellite
from certificates import api, trust
from certificates.actions import operations
from certificates.models import LinkCertificate, Operation, ServerCertificate
from certificates.models.operation import IllegalTransition
from devices.models import Device
from systemupdates import overview
from systemupdates.models import DeviceUpdate, Replication, SystemUpdate
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock, here


def cancel(living, operation):
    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()
    operation.refresh_from_db()


@pytest.mark.parametrize("state", ["replicating", "assigned"])
def test_nothing_of_a_cancelled_operation_is_left(living, homes, state):
    live = {name: home.read_file("security/server.pem") for name, home in homes.items()}
    operation = living.reach(state)

    cancel(living, operation)

    assert operation.state == "cancelled"
    for name, home in homes.items():
        assert not list((home.path / "remint-repo").iterdir())
        assert home.content_items() == []
        assert len(home.anchors()) == 1
        assert home.read_file("security/server.pem") == live[name]
    assert homes["ps1"].read_file(f"ca/{operation.guid}.key") is None


def test_cancel_in_preparing_needs_no_new_ca(living):
    operation = living.remint()

    cancel(living, operation)

    assert operation.state == "cancelled"
    assert operation.new_ca is None


def test_cancel_revokes_and_withdraws(living):
    operation = living.reach("assigned")

    cancel(living, operation)

    assert not LinkCertificate.objects.filter(revoked_at=None).exists()
    assert operation.new_ca.state == "cancelled"
    assert operation.new_ca.key_destroyed_at is not None
    assert operation.update.state == "withdrawn"
    assert {row.state for row in DeviceUpdate.objects.all()} == {"withdrawn"}
    assert not Replication.objects.exists()
    assert not ServerCertificate.objects.coming().exists()


def test_cancel_publishes_a_higher_epoch_without_the_new_ca(living):
    operation = living.reach("assigned")
    before = trust.published(living.zone).epoch

    cancel(living, operation)

    published = trust.published(living.zone)
    assert published.epoch > before
    assert trust.anchors_in(published) == [operation.old_ca.sha256]
    assert trust.update_in(published) is None


def test_second_remint_right_after_a_cancel_completes(living):
    cancel(living, living.reach("assigned"))

    assert living.reach("completed").new_ca.generation == 3


def test_late_server_does_not_make_a_cancel_fail_and_cleans_up_when_back(living, homes):
    operation = living.reach("assigned")
    living.fall_silent("ps3")

    cancel(living, operation)
    assert operation.state == "cancelled"
    assert homes["ps3"].staged() is not None

    living.beat("ps3")
    living.run()
    assert homes["ps3"].staged() is None


def test_running_server_that_does_not_confirm_makes_the_cancel_fail(living, homes, settings):
    operation = living.reach("assigned")
    obstacle = homes["ps2"].path / "remint-repo" / "server.cer.d" / "x"
    obstacle.parent.mkdir()
    obstacle.touch()
    cancel(living, operation)
    assert operation.state == "cancelling"

    for name in SERVERS:
        living.beat(name, ago=-settings.ZCC_CANCEL_TIMEOUT)
    living.run(at=clock.now() + settings.ZCC_CANCEL_TIMEOUT + timedelta(seconds=1), turns=2)

    operation.refresh_from_db()
    assert operation.state == "cancel_failed"
    assert "ps2 did not confirm within 5 min" in operation.problem
    assert "server.cer.d: Is a directory. Mend it there" in operation.problem
    assert "Errno" not in operation.problem

    operations.clear_failure(operation, by=None, now=clock.now())
    obstacle.unlink()
    obstacle.parent.rmdir()
    operation.servers.update(retry_at=None)
    cancel(living, operation)
    assert operation.state == "cancelled"


def test_content_that_is_removed_is_called_available_by_nobody(living, homes):
    operation = living.reach("assigned")
    obstacle = homes["ps2"].path / "remint-repo" / "server.cer.d" / "x"
    obstacle.parent.mkdir()
    obstacle.touch()

    cancel(living, operation)

    assert operation.state == "cancelling"
    rows = operation.update.replications.select_related("server")
    assert {row.server.name for row in rows if homes[row.server.name].content_items()} == {
        row.server.name for row in rows
    }
    assert not homes["ps3"].content_items()


@pytest.mark.parametrize("minutes", [10, 9, 0, -5])
def test_cancel_is_refused_from_ten_minutes_before(living, minutes):
    operation = living.reach("assigned")
    at = operation.activate_at - timedelta(minutes=minutes)

    with pytest.raises(operations.NotPossibleNow, match=r"can no longer be cancel|armed"):
        operations.cancel(operation, by=living.alice, now=at)

    operation.refresh_from_db()
    assert operation.state == "assigned"


def test_cancel_is_possible_eleven_minutes_before(living):
    operation = living.reach("assigned")

    operations.cancel(operation, by=living.alice, now=operation.activate_at - timedelta(minutes=11))

    assert operation.state == "cancelling"


def test_armed_operation_cannot_be_cancelled(living):
    operation = living.reach("armed")

    with pytest.raises(operations.NotPossibleNow):
        operations.cancel(operation, by=living.alice, now=clock.now())


def test_cancel_and_arming_have_one_winner(living):
    operation = living.reach("assigned")
    stale = Operation.objects.get(pk=operation.pk)
    operation.arm(at=operation.cutoff_at)

    with pytest.raises(IllegalTransition):
        stale.start_cancel(by=living.alice, at=clock.now())

    assert operation.events.filter(state__in=["armed", "cancelling"]).count() == 1
    assert here.home("ps1").staged() is not None


@pytest.fixture
def cancelling(living):
    """A cancel that no server has confirmed yet, with a device that has applied the update."""
    operation = living.reach("assigned")
    both = sorted([operation.old_ca.sha256, operation.new_ca.sha256])
    Device.objects.filter(name="ws1").update(trusted_fingerprints=both)
    rows_of("ws1").move(to="pending", by=None, at=clock.now())
    operations.cancel(operation, by=living.alice, now=clock.now())
    operation.refresh_from_db()
    assert operation.state == "cancelling"
    return operation


def rows_of(name):
    return DeviceUpdate.objects.filter(device__name=name)


def report(name, *anchors):
    """Let the device say whom it trusts."""
    rows = Device.objects.filter(name=name)
    rows.update(trusted_fingerprints=[ca.sha256 for ca in anchors])
    api.record(rows.select_related("zone").get(), {}, now=clock.now())


def test_device_that_has_taken_the_ca_back_is_canceled_before_the_others(living, cancelling):
    report("ws1", cancelling.old_ca, cancelling.new_ca)
    assert rows_of("ws1").get().state == "pending"

    report("ws1", cancelling.old_ca)

    assert rows_of("ws1").get().word == "Canceled"
    assert rows_of("ps1").get().state != "withdrawn"
    counts = overview.count_devices([cancelling.update])[cancelling.update_id]
    assert counts.by_state == {"pending": 3, "withdrawn": 1}  # the servers, and it

    living.run()

    update = SystemUpdate.objects.get(pk=cancelling.update_id)
    assert (update.state, update.at_withdrawal) == ("withdrawn", {"pending": 4})


def test_device_that_says_nothing_of_its_trust_has_taken_nothing_back(cancelling):
    report("ws1")

    assert rows_of("ws1").get().state == "pending"


def test_satellite_is_clean_before_the_cancel_is_through(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)
    operation = living.reach("assigned")
    auth1.refresh(4)
    operations.cancel(operation, by=living.alice, now=clock.now())
    progress = operation.servers.get(device=auth1.row)
    auth1.home.clean(str(operation.guid))

    device = Device.objects.select_related("zone").get(pk=auth1.row.pk)
    api.record(device, {"certificates": satellite.report(auth1.home, auth1.slots)}, now=clock.now())

    progress.refresh_from_db()
    assert progress.cleaned_at is not None
