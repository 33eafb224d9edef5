"""What a device is told at each phase: trust, its update; and who is told nothing yet."""

from datetime import timedelta

import pytest

from certificates import api, taking_part, trust
from certificates.actions import authorities, operations
from certificates.models import Operation
from devices.models import Device
from systemupdates import chosen
from systemupdates.api import content_for, update_for
from systemupdates.models import DeviceUpdate, SystemUpdate
from zcc.ground import clock


@pytest.fixture
def ws1(living):
    return Device.objects.select_related("zone").get(name="ws1")


def told(device):
    """Return how many anchors the manifest that the device is given has, None if it gets none."""
    envelope = api.manifest_for(device)
    published = trust.published(device.zone)
    assert envelope in (None, published.envelope)
    return len(trust.anchors_in(published)) if envelope else None


def set_state(device, state, by=None):
    rows = DeviceUpdate.objects.filter(device=device)
    assert rows.move(to=state, by=by, at=clock.now())


def acknowledge(device):
    """The device reports that it trusts what was published."""
    published = trust.published(device.zone)
    device.trust_epoch = published.epoch
    device.trusted_fingerprints = sorted(trust.anchors_in(published))
    device.save()


def follow(living, operation):
    """Yield each phase of the operation in turn."""
    living.run()
    yield "replicating"
    living.replicate_now()
    living.run()
    yield "assigned"
    living.run(at=operation.activate_at - timedelta(minutes=9))
    yield "armed"
    living.run(at=operation.activate_at)
    yield "overlap"
    operation.refresh_from_db()
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    yield "completed"


def test_manifest_says_what_the_phase_needs_in_rising_epochs(living):
    operation = living.remint()
    said, epochs = [], []
    for phase in follow(living, operation):
        published = trust.published(living.zone)
        update = trust.update_in(published)
        flags = (update["armed"], update["activated"]) if update else None
        said.append((phase, len(trust.anchors_in(published)), flags))
        epochs.append(published.epoch)

    assert said == [
        ("replicating", 1, None),
        ("assigned", 2, (False, False)),
        ("armed", 2, (True, False)),
        ("overlap", 2, (True, True)),
        ("completed", 1, (True, True)),
    ]
    assert epochs == sorted(set(epochs))


def test_publishing_again_publishes_nothing(living, homes):
    living.reach("assigned")
    before = living.zone.trust.count()

    assert trust.publish(living.zone, home=homes["ps1"], now=clock.now()) is None
    assert living.zone.trust.count() == before


def test_manifest_is_renewed_fifteen_days_before_it_expires(living, homes):
    first = trust.published(living.zone)
    soon = first.published_at + timedelta(days=15)

    assert trust.publish(living.zone, home=homes["ps1"], now=soon) is None
    later = trust.publish(living.zone, home=homes["ps1"], now=soon + timedelta(seconds=1))

    assert (later.epoch, later.digest) == (first.epoch + 1, first.digest)


def test_device_with_the_newest_manifest_is_told_nothing(living, ws1):
    living.reach("assigned")
    acknowledge(ws1)

    assert told(ws1) is None


def test_device_is_told_of_the_new_ca_once_its_wave_is_open(living, ws1):
    living.reach("assigned")
    SystemUpdate.objects.update(wave=1)
    assert told(ws1) is None
    assert update_for(ws1) is None

    SystemUpdate.objects.update(wave=2)

    assert told(ws1) == 2
    assert update_for(ws1)["attempt"] == 1


def test_ignored_device_keeps_what_it_has_to_the_end(living, ws1):
    operation = living.reach("assigned")
    chosen.ignore(operation.update, [ws1], by=living.alice, now=clock.now())

    for state in ["armed", "overlap"]:
        living.run(at=operation.activate_at - timedelta(minutes=9 if state == "armed" else 0))
        assert told(ws1) is None
        assert update_for(ws1) is None


def test_failed_device_is_told_only_after_the_activation(living, ws1):
    operation = living.reach("assigned")
    set_state(ws1, "failed")
    assert told(ws1) is None
    living.run(at=operation.activate_at - timedelta(minutes=9))
    assert told(ws1) is None

    living.run(at=operation.activate_at)

    assert told(ws1) == 2


def test_device_that_enrols_during_the_operation_is_told_and_gets_the_update(living):
    living.reach("assigned")
    late = living.add_workstation("late")
    taking_part.join_operation(late, now=clock.now())

    assert told(late) == 2
    assert update_for(late)["attempt"] == 1
    assert DeviceUpdate.objects.get(device=late).events.get().state == "assigned"


def test_cancel_takes_the_new_ca_back_from_a_device_that_has_it(living, ws1):
    operation = living.reach("assigned")
    acknowledge(ws1)
    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    assert told(ws1) == 1
    assert update_for(ws1) is None


def test_device_two_generations_late_is_told_of_all_that_is_trusted(living, ws1):
    acknowledge(ws1)
    living.reach("overlap")
    living.reach("overlap")

    assert told(ws1) == 3


def test_second_operation_does_not_take_the_first_one_from_a_late_device(living, ws1):
    first = living.reach("overlap")
    living.remint()
    living.run()

    assert update_for(ws1)["id"] == str(first.update.guid)
    assert trust.told_operation(living.zone) == first


def test_content_satellite_is_to_hold_what_is_due_and_drops_what_was_cancelled(living):
    cache = living.add_workstation("cache1")
    Device.objects.filter(pk=cache.pk).update(
        is_content_satellite=True,
        version=Device.objects.get(name="ps1").version,
        last_contact_at=clock.now(),
    )
    operation = living.remint()
    living.run()
    assert content_for(cache, now=clock.now()) == []
    operation.refresh_from_db()
    hour = clock.now() + timedelta(hours=1)
    assert [item["sha256"] for item in content_for(cache, now=hour)] == [
        operation.update.content_sha256
    ]

    operations.cancel(Operation.objects.get(), by=living.alice, now=clock.now())
    living.run()

    assert content_for(cache, now=hour) == []
