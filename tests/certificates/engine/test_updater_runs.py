"""The Certificate Updater Tool runs by itself: on the initiating server, then on the others."""

from datetime import timedelta

import pytest

from certificates import updater_runs
from certificates.actions import operations
from certificates.models import Operation, UpdaterTool
from certificates.models.server_step import MOST_FAILURES
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock, here


def row_of(name):
    return Operation.objects.latest("pk").servers.select_related("device").get(device__name=name)


def said_on(name):
    """What the last run said on a server."""
    return row_of(name).updater_runs.last().said


def update_of(name):
    return DeviceUpdate.objects.filter(device__name=name).latest("pk").state


def runs():
    """The servers on which the tool has run, in that order."""
    rows = Operation.objects.latest("pk").servers.exclude(updater_ran_at=None)
    return list(rows.order_by("updater_ran_at").values_list("device__name", flat=True))


def retry(*names):
    """The wait after a failure is over."""
    rows = Operation.objects.latest("pk").servers.filter(device__name__in=names)
    rows.update(updater_retry_at=None)


def fail_on(monkeypatch, name, fault="updater-followed:kill"):
    """Let the tool's process die on one server, and on no other."""
    process = updater_runs._process

    def with_fault(path, home):
        with monkeypatch.context() as at:
            if home.path == here.home(name).path:
                at.setenv("ZCC_UPDATER_FAULTS", fault)
            return process(path, home)

    monkeypatch.setattr(updater_runs, "_process", with_fault)


def test_it_runs_by_itself_once_the_update_is_assigned(living):
    operation = living.reach("replicating")
    before = runs()

    living.replicate_now()
    living.run()

    assert (before, runs()[0], sorted(runs())) == ([], "ps1", SERVERS)
    said = said_on("ps1")
    assert "Made by the zone TEST-ZONE" in said
    assert "Added the new CA to the trust store of this server." in said
    assert "A TLS handshake with it succeeded, trusting the new CA alone." in said
    assert here.home("ps1").live().operation != str(operation.guid)


def test_it_runs_once_and_a_second_run_changes_nothing(living):
    living.reach("assigned")
    row, home = row_of("ps2"), here.home("ps2")
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}

    living.run()
    said = updater_runs.run(row.operation, row.device, home=home, now=clock.now())

    assert row_of("ps2").updater_ran_at == row.updater_ran_at
    assert "The new CA was trusted already, through the trust manifest, since 2" in said
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


def test_run_that_nobody_noted_is_repeated(living):
    """The worker was killed when the tool had done its part."""
    living.reach("replicating")
    living.replicate_now()
    living.run(only=("replicate",))
    row, home = row_of("ps1"), here.home("ps1")
    updater_runs.run(row.operation, row.device, home=home, now=clock.now())

    living.run()

    assert runs()[0] == "ps1"
    assert "The new CA was trusted already, through " in said_on("ps1")
    assert "Nothing had to be added." in said_on("ps1")
    assert len(home.anchors()) == 2


def test_others_wait_for_the_initiating_server(living, monkeypatch):
    fail_on(monkeypatch, "ps1")

    living.reach("assigned")

    assert (runs(), update_of("ps1"), update_of("ps2")) == ([], "update", "assigned")
    assert row_of("ps2").staged_at is None
    monkeypatch.undo()
    retry("ps1")
    living.run()
    assert runs()[0] == "ps1"
    assert (row_of("ps1").updater_problem, update_of("ps1")) == ("", "pending")


def test_nobody_waits_for_an_initiating_server_that_is_down(living):
    operation = living.reach("replicating")
    living.replicate_now()
    living.fall_silent("ps1")
    operations.assign_now(operation, by=living.alice, now=clock.now())

    living.run()

    assert sorted(runs()) == ["ps2", "ps3"]
    living.beat("ps1")
    living.run()
    assert runs()[-1] == "ps1"


def test_nobody_waits_for_ever_for_a_tool_that_fails(living, monkeypatch):
    fail_on(monkeypatch, "ps1")
    operation = living.reach("assigned")

    for _ in range(MOST_FAILURES - 1):
        retry("ps1")
        living.run()

    assert (sorted(runs()), update_of("ps1")) == (["ps2", "ps3"], "pending")
    row = row_of("ps1")
    assert (row.updater_failures, row.updater_retry_at > clock.now()) == (MOST_FAILURES, True)
    living.run(at=operation.activate_at - timedelta(minutes=9))
    living.run(at=operation.activate_at)
    assert here.home("ps1").live().operation == str(operation.guid)
    operation.refresh_from_db()
    assert operation.state == "overlap"


FAILURES = {
    "killed": ("updater-followed:kill", "It was killed (SIGKILL). Look whether ps1 ran out of"),
    "stopped": ("updater-followed:stop", "It did not end within 2 s and was stopped."),
    "broken": ("updater-followed:raise", "Fault asked for at updater-followed."),
}


@pytest.mark.parametrize("how", FAILURES)
def test_failed_run_is_said_and_tried_again(living, monkeypatch, how):
    fault, sentence = FAILURES[how]
    monkeypatch.setattr(updater_runs, "TIMEOUT", 2 if how == "stopped" else 30)
    fail_on(monkeypatch, "ps1", fault)
    living.reach("assigned")
    row = row_of("ps1")

    assert sentence in row.updater_problem
    assert (row.problem, row.updater_ran_at) == ("", None)
    living.run()
    assert row_of("ps1").updater_failures == 1  # not yet: it waits
    retry("ps1")
    living.run()
    monkeypatch.undo()
    retry("ps1")
    living.run()
    assert row_of("ps1").updater_problem == ""
    failed, good = row.updater_runs.all()
    assert (failed.times, good.times, good.problem) == (2, 1, "")
    assert sentence in failed.problem and good.said


def test_run_counts_also_when_the_home_cannot_follow_afterwards(living, monkeypatch):
    """Another file of the home is in the way, or its disk is full."""
    living.reach("replicating")
    file = here.home("ps1").path / here.ISSUERS
    file.unlink()
    file.mkdir()
    fail_on(monkeypatch, "ps1")
    living.replicate_now()
    living.run()
    assert (row_of("ps1").updater_failures, row_of("ps1").updater_runs.count()) == (1, 1)

    monkeypatch.undo()
    retry("ps1")
    living.run()

    assert runs()[0] == "ps1" and said_on("ps1")
    assert update_of("ps1") == "pending"


def test_other_steps_do_not_wait_for_a_tool_that_fails(living, monkeypatch):
    fail_on(monkeypatch, "ps1")
    operation = living.reach("assigned")
    Operation.objects.filter(pk=operation.pk).update(state="armed")
    operation.update.open_wave(2)

    living.run()

    assert row_of("ps1").armed_at is not None
    assert row_of("ps1").updater_retry_at is not None


def test_file_that_is_not_the_signed_one_is_not_run(living):
    living.reach("replicating")
    tool = UpdaterTool.objects.get()
    path = here.home("ps1").path / "zenworks-setup" / tool.file_name
    path.write_bytes(b"raise SystemExit('somebody else wrote this')")
    living.replicate_now()

    living.run()

    assert "Made by the zone TEST-ZONE" in said_on("ps1")


def test_server_of_another_version_says_so(living):
    living.reach("replicating")
    UpdaterTool.objects.update(sha256="00" * 32)
    living.replicate_now()

    living.run()

    assert "is of another version than the one that made it." in row_of("ps1").updater_problem


def test_tool_that_this_zone_did_not_make_is_refused(living):
    living.reach("replicating")
    here.home("ps1").write_file(here.UPDATE_KEY, bytes(32))
    living.replicate_now()

    living.run()

    assert "copy security/update-key.pub from another" in row_of("ps1").updater_problem


def test_missing_content_is_said_and_the_tool_does_not_run(living):
    operation = living.reach("replicating")
    for name in SERVERS:
        here.home(name).drop_content(operation.update.content_sha256)
    operations.assign_now(operation, by=living.alice, now=clock.now())

    living.run(only=("server_step",))

    assert runs() == []
    assert update_of("ps1") == "failed"
    assert "No content:" in DeviceUpdate.objects.get(device__name="ps1").reason


def test_cancel_while_it_failed_leaves_nothing(living, monkeypatch):
    fail_on(monkeypatch, "ps1")
    operation = living.reach("assigned")

    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert len(here.home("ps1").anchors()) == 1


def test_certificate_of_an_external_ca_may_come_later(living, tmp_path):
    """The trust is brought at once: devices do not wait for what is to be signed."""
    acme = ExternalCA(tmp_path / "outside")
    operation = changing.to_external(living, acme)
    living.run()
    living.replicate_now()
    living.run()
    first = row_of("ps2")
    assert (sorted(runs()), first.staged_at, update_of("ps2")) == (SERVERS, None, "pending")
    assert "It has no new server certificate yet" in said_on("ps2")
    assert DeviceUpdate.objects.get(device__name="ws1").is_released

    changing.import_all(acme, operation)
    living.run()

    again = row_of("ps2")
    assert again.updater_ran_at > first.updater_ran_at
    assert "A TLS handshake with it succeeded" in said_on("ps2")


def test_what_the_new_ca_does_not_vouch_for_is_said_at_once(living, homes):
    """Somebody put another pair where the staged one was."""
    living.reach("assigned")
    row, home = row_of("ps2"), homes["ps2"]
    home.write_secret("remint-repo/canary.pem", home.read_file("security/server.pem"))

    with pytest.raises(updater_runs.DidNotRun, match="will not do"):
        updater_runs.run(row.operation, Device.objects.get(name="ps2"), home=home, now=clock.now())
