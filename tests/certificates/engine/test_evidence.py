"""The evidence pack of an operation that has really run: made by a worker, checked by an agent."""

from datetime import timedelta

import pytest
from django.db.models import F

from agent import faults
from agent.__main__ import main
from agent.evidence import check
from agent.evidence_pack import open_pack
from certificates import keys, tasks
from certificates.actions import authorities, decisions, evidence
from certificates.models import EvidencePack, KeyEnd
from devices.models import Device
from systemupdates import chosen
from tests.certificates.engine.wire import on_the_wire
from zcc.ground import clock, here


@pytest.fixture
def wired(db, settings, tmp_path):
    yield from on_the_wire(settings, tmp_path)


@pytest.fixture
def asked(living):
    """An operation in overlap whose evidence pack was asked for and made."""
    operation = living.reach("overlap")
    for events in (operation.events, operation.update.events):  # its hours were passed in
        events.update(at=F("at") - timedelta(hours=3))
    evidence.request_pack(operation, by=living.alice, now=clock.now())
    living.run()
    return operation


def checked(pack, folder):
    """Return what the pack says, after all of it was checked."""
    path, key = folder / "pack.zip", here.home("ps1").read_file(here.UPDATE_KEY)
    path.write_bytes(bytes(pack.content))
    return check(open_pack(path, key), key)


def said(found):
    return [(event["state"], event["by"]["user"]) for event in found.events if event["by"]]


def test_pack_of_an_operation_with_real_devices_holds(wired, tmp_path, capsys):
    awake, _ = wired.agent("awake"), wired.agent("lost")
    ignored, lost = wired.agent("ignored"), Device.objects.get(name="lost")
    operation = wired.assign(awake, policy="strict")
    operation.refresh_from_db()
    left_out = [Device.objects.get(name="ignored")]
    chosen.ignore(operation.update, left_out, by=wired.alice, now=clock.now())
    decisions.sign_off(operation, {lost.pk}, reason="in store", by=wired.alice, now=clock.now())
    wired.activate(operation, awake)
    evidence.request_pack(operation, by=wired.alice, now=clock.now())
    wired.run()

    found = checked(EvidencePack.objects.get(), tmp_path)

    assert found.operation["state"] == "completed"
    assert (found.devices, found.proven) == (4, 1)
    assert [row["name"] for row in found.ignored] == ["ignored"]
    assert [row["devices"] for row in found.sign_offs] == [[[lost.pk, "lost"]]]
    assert said(found) == [("preparing", "alice"), ("created", "alice"), ("assigned", "alice")]
    arguments = ["evidence", str(tmp_path / "pack.zip")]
    for home in (awake, ignored):  # by the key that a device has pinned
        assert main([*arguments, "--home", str(home.path)]) == 0
    assert "Reason: in store" in capsys.readouterr().out


def test_tick_makes_it_once(living, asked):
    pack = EvidencePack.objects.get()

    tasks.make_evidence_pack(pack_id=pack.pk)  # the message came twice
    living.run()

    again = EvidencePack.objects.get()
    assert (again.made_at, again.sha256) == (pack.made_at, pack.sha256)
    assert (again.claim_id, again.problem) == (None, "")


def test_it_is_made_again_when_the_history_has_grown(living, asked, tmp_path):
    first = EvidencePack.objects.get()
    authorities.retire_old_ca(asked, by=living.alice, now=clock.now())
    living.run()
    assert EvidencePack.objects.get().sha256 == first.sha256  # not with every line of it

    EvidencePack.objects.update(made_at=clock.now() - timedelta(minutes=2))
    EvidencePack.objects.update(requested_at=clock.now() - timedelta(minutes=3))
    living.run()

    found = checked(EvidencePack.objects.get(), tmp_path)
    assert found.operation["state"] == "completed"
    assert said(found)[-1] == ("completed", "alice")


def test_end_of_the_old_key_is_in_it(living, asked, tmp_path):
    authorities.retire_old_ca(asked, by=living.alice, now=clock.now())
    asked.old_ca.issued.exclude(purpose="ca").delete()
    KeyEnd.objects.update(due_at=clock.now())
    living.run()
    evidence.request_pack(asked, by=living.alice, now=clock.now())

    living.run()

    found = checked(EvidencePack.objects.get(), tmp_path)
    old = next(row for row in found.authorities if row["role"] == "old")
    assert old["key_destroyed_at"] >= old["retired_at"]
    assert any(event["note"].startswith("Key destroyed") for event in found.events)


def test_missing_key_is_said_and_tried_again(living, homes, monkeypatch):
    operation = living.reach("overlap")
    kek = homes["ps1"].read_file(keys.KEK_FILE)
    homes["ps1"].write_secret(keys.KEK_FILE, b"\0" * 32)
    evidence.request_pack(operation, by=living.alice, now=clock.now())
    living.run()
    assert "does not open" in EvidencePack.objects.get().problem

    homes["ps1"].write_secret(keys.KEK_FILE, kek)
    EvidencePack.objects.update(retry_at=clock.now())
    living.run()

    pack = EvidencePack.objects.get()
    assert (pack.problem, pack.is_being_made) == ("", False)


def test_worker_that_dies_on_the_way_leaves_it_to_the_next(living, monkeypatch, tmp_path):
    operation = living.reach("overlap")
    evidence.request_pack(operation, by=living.alice, now=clock.now())
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", "evidence-built:raise")
    living.run()
    assert EvidencePack.objects.get().content is None
    monkeypatch.delenv("ZCC_FAULTS")

    EvidencePack.objects.update(retry_at=None)
    living.run()

    assert checked(EvidencePack.objects.get(), tmp_path).operation["state"] == "overlap"


@pytest.mark.parametrize("state", ["replicating", "assigned", "armed"])
def test_pack_of_an_operation_that_is_not_over_holds_too(living, tmp_path, state):
    operation = living.reach(state)
    evidence.request_pack(operation, by=living.alice, now=clock.now())
    living.run()

    assert checked(EvidencePack.objects.get(), tmp_path).operation["state"] == state


def test_pack_of_a_rolled_back_operation_holds(living, asked, tmp_path):
    decisions.roll_back(asked, reason="readers refuse it", by=living.alice, now=clock.now())
    living.run()
    evidence.request_pack(asked, by=living.alice, now=clock.now())
    living.run()

    found = checked(EvidencePack.objects.get(), tmp_path)

    assert found.operation["state"] == "rolled_back"
    assert "Reason: readers refuse it" in [event["note"] for event in found.events]
