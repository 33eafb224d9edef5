"""Restore CA: to the same server and to another, and everything that is refused."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection

from agent import faults
from certificates import custody, keys, trust
from certificates.actions import authorities, decisions, operations
from certificates.actions.authorities import Refused
from certificates.models import (
    IssuedCertificate,
    KeyRequest,
    Operation,
    PublishedTrust,
    SealingKey,
)
from pki import archive, backup, backup_contents
from tests.certificates.engine.keeping import (
    PASSPHRASE,
    after,
    ask_move,
    ask_restore,
    assert_only_holder,
    assert_signs,
    holders,
    key_files,
    make_backup,
    nothing_secret_is_left,
    role,
    server,
)
from zcc.ground import clock, here


def lose(name):
    """The server is gone with all its keys, as far as anybody can see."""
    for path in (here.home(name).path / "ca").glob("*.key"):
        path.unlink()


def everything_but_requests():
    """All rows that say something of the CA, for "nothing has changed"."""
    tables = ["certificates_certificateauthority", "certificates_issuedcertificate"]
    tables += ["certificates_publishedtrust", "certificates_operation"]
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")
            found.append(cursor.fetchall())
    return found


@pytest.mark.parametrize("on", ["ps1", "ps3"])
def test_same_server_gets_its_lost_keys_back(living, on):
    file = make_backup(living)
    before = key_files("ps1")
    lose("ps1")

    request = ask_restore(living, file, to="ps1", on=on)
    living.run()

    assert after(request) == ("done", "")
    assert (request.asked_by, nothing_secret_is_left(request)) == (living.alice, True)
    assert key_files("ps1") == before
    assert_only_holder(living, "ps1")


def test_another_server_gets_the_role_when_the_first_is_gone(living):
    living.reach("completed")
    file = make_backup(living, on="ps2")
    lose("ps1")
    living.fall_silent("ps1")

    request = ask_restore(living, file, to="ps2", on="ps3")
    living.run()

    assert after(request) == ("done", "")
    assert len(key_files("ps2")) == 3  # both generations, and the update key
    assert_only_holder(living, "ps2")


def test_old_holder_destroys_its_copy_when_it_returns(living):
    file = make_backup(living)
    living.fall_silent("ps1")
    ask_restore(living, file, to="ps2", on="ps2")
    living.run()
    assert holders() == {"ps1", "ps2"}  # nobody can ask ps1

    custody.tidy(server("ps1"), home=here.home("ps1"))

    assert_only_holder(living, "ps2")


def test_old_holder_that_runs_is_told_at_once(living):
    file = make_backup(living)

    ask_restore(living, file, to="ps2")
    living.run()

    assert_only_holder(living, "ps2")
    assert server("ps1").key_removals.exclude(done_at=None).count() == 1


def test_certificates_issued_since_the_backup_stay_known(living):
    file = make_backup(living)
    assert_signs(living)
    since = IssuedCertificate.objects.latest("pk")
    lose("ps1")

    ask_restore(living, file, to="ps1")
    living.run()

    assert IssuedCertificate.objects.get(pk=since.pk).der == since.der
    assert_signs(living)  # which looks that no serial number comes twice


def test_zone_goes_on_with_an_operation_after_a_restore(living):
    file = make_backup(living)
    ask_restore(living, file, to="ps3")
    living.run()

    assert living.reach("overlap").initiating_server.name == "ps3"


def test_epoch_is_above_that_of_the_backup_when_the_database_is_older(living):
    living.reach("completed")
    file = make_backup(living)
    epoch = backup.read(file, PASSPHRASE).epoch
    PublishedTrust.objects.filter(epoch__gt=1).delete()

    ask_restore(living, file, to="ps1")
    living.run()

    assert trust.published(living.zone).epoch > epoch


def refused(living, file, *, to="ps2", passphrase=PASSPHRASE):
    """Ask for a restore, see that nothing has changed, and return why."""
    before = everything_but_requests(), key_files("ps1"), key_files("ps2")
    request = ask_restore(living, file, to=to, passphrase=passphrase)
    living.run()

    state, problem = after(request)
    assert state == "refused"
    assert nothing_secret_is_left(request)
    assert (everything_but_requests(), key_files("ps1"), key_files("ps2")) == before
    return problem


def test_wrong_passphrase_and_damage_are_refused_with_the_same_sentence(living):
    file = make_backup(living)
    changed = bytearray(file)
    changed[len(file) // 2] ^= 1

    sentences = {
        refused(living, file, passphrase="not the passphrase"),
        refused(living, bytes(changed)),
        refused(living, file[: len(file) // 2]),
        refused(living, archive.write({"manifest.json": b"{}"})),
        refused(living, b""),
    }

    assert sentences == {backup.REFUSAL}


def written(living, **changes):
    """A backup of this zone with something else in it, under the right passphrase."""
    found = backup.read(make_backup(living), PASSPHRASE)
    return backup.write(backup_contents.Contents(**{**vars(found), **changes}), PASSPHRASE)


def test_backup_of_another_zone_is_refused(living):
    other = written(living, zone=living.zone.authorities.get().guid, zone_name="OTHER")

    assert refused(living, other).startswith(
        "This is a backup of the zone OTHER, not of TEST-ZONE."
    )


def test_backup_with_only_an_old_generation_says_what_it_holds(living):
    file = make_backup(living)
    living.reach("completed")

    assert "holds generation 1. The active CA is generation 2" in refused(living, file)


def test_backup_of_a_ca_that_the_database_does_not_know_is_refused(living):
    living.reach("completed")
    generations = backup.read(make_backup(living), PASSPHRASE).generations
    first = generations[0]
    stranger = backup_contents.Generation(
        first.number, generations[1].guid, "active", 0, first.certificate, first.key
    )

    file = written(living, generations=(stranger,))

    assert refused(living, file).startswith("Generation 1 in this backup is not known")


def test_another_update_key_is_refused(living):
    other = keys.Ed25519PrivateKey.generate()

    assert "not the one that the zone's devices know" in refused(
        living, written(living, update_key=other)
    )


def test_it_is_refused_in_overlap_and_while_an_operation_is_open(living):
    file = make_backup(living)
    living.reach("overlap")
    with pytest.raises(Refused, match="Two CAs are trusted side by side"):
        ask_restore(living, file)
    Operation.objects.update(state="assigned")

    with pytest.raises(Refused, match=r"Remint CA is in progress\."):
        ask_restore(living, file)
    assert KeyRequest.objects.filter(kind="restore").count() == 0


def test_it_is_refused_when_an_overlap_begins_meanwhile(living):
    operation = living.reach("completed")
    request = ask_restore(living, make_backup(living), to="ps2")
    Operation.objects.filter(pk=operation.pk).update(state="overlap")

    living.run(only="key_request")

    assert after(request)[1].startswith("Two CAs are trusted side by side")
    assert holders() == {"ps1"}


def test_server_that_is_lost_in_an_operation_is_replaced_and_the_cancel_ends(living):
    file = make_backup(living)
    operation = living.reach("assigned")
    living.fall_silent("ps1")
    operations.cancel(operation, by=living.alice, now=clock.now())
    with pytest.raises(Refused, match=r"Remint CA is in progress\."):
        ask_restore(living, file, to="ps2", on="ps2")
    living.run(at=clock.now() + timedelta(minutes=6))
    operation.refresh_from_db()
    assert operation.state == "cancel_failed"

    ask_restore(living, file, to="ps2", on="ps2")
    living.run()
    operations.cancel(Operation.objects.get(), by=living.alice, now=clock.now())
    living.run()

    operation.refresh_from_db()
    assert (operation.state, operation.initiating_server.name) == ("cancelled", "ps2")
    assert len(key_files("ps1")) == 3  # the cancelled one, too
    custody.tidy(server("ps1"), home=here.home("ps1"))
    assert key_files("ps1") == []
    assert living.ca.server.name == "ps2"


def test_cancel_that_failed_beside_a_running_ca_server_is_in_the_way(living):
    file = make_backup(living)
    operation = living.reach("assigned")
    Operation.objects.filter(pk=operation.pk).update(state="cancel_failed")

    with pytest.raises(Refused, match=r"Remint CA is in progress\."):
        ask_restore(living, file, to="ps2")


def test_key_that_a_running_server_has_is_not_given_up_for_a_backup_without_it(living):
    first = make_backup(living)
    operation = living.reach("overlap")
    decisions.roll_back(operation, reason="a test", by=living.alice, now=clock.now())
    living.run()
    assert living.ca.generation == 1

    reason = refused(living, first, to="ps2")

    assert reason.startswith("The backup lacks the key of generation 2")
    assert "use Move CA Role" in reason


def test_backup_goes_to_no_server_whose_public_key_somebody_replaced(living):
    file = make_backup(living)
    stranger = SealingKey.objects.get(device__name="ps3")
    SealingKey.objects.filter(device__name="ps2").update(public=stranger.public)

    with pytest.raises(Refused, match="is not its own"):
        ask_restore(living, file, to="ps2", on="ps1")


@pytest.mark.parametrize(
    "fault",
    [
        "restore-opened",
        "key-stored",
        "key-stored:2",
        "file.written",
        "file.renamed",
        "restore-stored",
        "role-moved",
        "key-destroyed",
    ],
)
def test_restore_that_breaks_off_ends_with_one_holder(living, monkeypatch, fault):
    living.reach("completed")
    file = make_backup(living)
    ask_restore(living, file, to="ps2")
    place, _, nth = fault.partition(":")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{place}:raise:{nth or 1}")
    with suppress(OSError):
        living.run(turns=1)
    monkeypatch.delenv("ZCC_FAULTS")

    living.run()

    assert_only_holder(living, "ps2")


def test_restore_and_move_exclude_each_other(living):
    file = make_backup(living)
    ask_restore(living, file, to="ps2")

    with pytest.raises(Refused, match="Restore CA is in progress"):
        ask_move(living, to="ps3")


def test_retired_ca_is_restored_with_the_others(living):
    operation = living.reach("overlap")
    authorities.retire_old_ca(
        Operation.objects.get(pk=operation.pk), by=living.alice, now=clock.now()
    )
    living.run()

    ask_restore(living, make_backup(living), to="ps2")
    living.run()

    assert role(living) == {"ps2"}
