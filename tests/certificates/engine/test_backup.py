"""Backup CA and Verify backup, from any server's console, by the worker that holds the keys."""

from datetime import timedelta

import pytest

from certificates import keys
from certificates.actions import key_requests
from certificates.actions.authorities import Refused
from certificates.models import KeyRequest, SealingKey, VerifiedBackup
from pki import backup
from tests.certificates.engine.keeping import (
    PASSPHRASE,
    after,
    ask_backup,
    asker,
    fetched,
    make_backup,
    nothing_secret_is_left,
    upload,
)
from zcc.ground import clock, here


def ask_verification(living, file, passphrase=PASSPHRASE, *, on="ps2"):
    return key_requests.verify_backup(
        living.zone, upload(file, passphrase), asker=asker(living, on), now=clock.now()
    )


@pytest.mark.parametrize("on", ["ps1", "ps2"])
def test_backup_holds_every_generation_the_update_key_and_the_epoch(living, on):
    living.reach("overlap")

    found = backup.read(make_backup(living, on=on), PASSPHRASE)

    home = here.home("ps1")
    assert [one.number for one in found.generations] == [1, 2]
    assert [one.certificate for one in found.generations] == [
        ca.x509() for ca in living.zone.authorities.order_by("generation")
    ]
    ours = keys.load_update_key(home, living.zone).private_bytes_raw()
    assert found.update_key.private_bytes_raw() == ours
    assert found.epoch == living.zone.trust.latest().epoch
    assert (found.zone, found.made_on) == (living.zone.guid, "ps1")


def test_who_asked_when_is_kept_and_nothing_secret(living):
    request = ask_backup(living, on="ps3")
    living.run()

    request.refresh_from_db()
    assert (request.asked_by, request.asked_from.name) == (living.alice, "ps3")
    assert request.findings["generations"][0]["number"] == 1
    assert nothing_secret_is_left(request)
    assert PASSPHRASE.encode() not in bytes(request.answer)


def test_answer_is_erased_after_five_minutes(living):
    request = ask_backup(living)
    living.run()
    assert fetched(request)

    key_requests.expire(living.zone, now=clock.now() + timedelta(minutes=6))

    request.refresh_from_db()
    assert (request.state, request.answer) == ("done", None)


def test_passphrase_is_erased_after_a_minute_in_which_nobody_answered(living):
    request = ask_backup(living)
    assert request.sealed is not None

    assert key_requests.expire(living.zone, now=clock.now() + timedelta(seconds=59)) == 0
    key_requests.expire(living.zone, now=clock.now() + timedelta(seconds=61))

    state, problem = after(request)
    assert (state, nothing_secret_is_left(request)) == ("refused", True)
    assert problem.startswith("ps1 did not do it within a minute. Nothing has changed.")


def test_it_is_refused_when_the_ca_server_is_away(living):
    living.fall_silent("ps1")

    with pytest.raises(Refused, match="ps1 does not answer"):
        ask_backup(living, on="ps2")
    assert not KeyRequest.objects.exists()


def test_verification_says_what_a_file_holds_and_touches_nothing(living):
    file = make_backup(living)
    VerifiedBackup.objects.all().delete()

    request = ask_verification(living, file)
    living.run()

    assert after(request) == ("done", "")
    assert [entry["number"] for entry in request.findings["generations"]] == [1]
    remembered = VerifiedBackup.objects.get()
    assert (remembered.authority, remembered.by) == (living.ca, living.alice)
    assert remembered.file_sha256 == request.file_sha256


@pytest.mark.parametrize("damage", [lambda file: file, lambda file: file[:-1]], ids=["none", "cut"])
def test_wrong_passphrase_and_damage_give_the_same_answer(living, damage):
    file = damage(make_backup(living))

    request = ask_verification(living, file, "not the passphrase")
    living.run()

    assert after(request) == ("refused", backup.REFUSAL)
    assert not VerifiedBackup.objects.exists()


def test_console_of_a_server_seals_to_no_key_that_somebody_put_into_the_database(living):
    stranger = SealingKey.objects.get(device__name="ps3")
    SealingKey.objects.filter(device__name="ps1").update(public=stranger.public)

    with pytest.raises(Refused, match="is not its own"):
        ask_backup(living, on="ps2")
    assert not KeyRequest.objects.exists()


def test_backup_goes_to_no_key_that_somebody_put_into_the_database(living):
    request = ask_backup(living, on="ps2")
    forged = SealingKey.objects.get(device__name="ps3")
    facts = {"public": forged.public, "voucher": forged.voucher, "chain": forged.chain}
    SealingKey.objects.filter(device__name="ps2").update(**facts)
    living.run()

    state, problem = after(request)
    assert (state, request.answer) == ("refused", None)
    assert "is not its own" in problem
