"""After a change to a CA on another server the older keys follow the CA role, and no sooner."""

from contextlib import suppress
from datetime import timedelta

import pytest

from agent import faults
from certificates import backups, older_keys, sealed_transfer
from certificates.actions import authorities, decisions
from certificates.history import History
from certificates.models import (
    CertificateAuthority,
    KeyEnd,
    KeyRemoval,
    Operation,
    SealedTransfer,
    SealingKey,
)
from devices.models import Device
from pki import keys as pki_keys
from tests.certificates.engine import changing
from tests.certificates.engine.keeping import (
    ask_move,
    assert_only_holder,
    holders,
    key_files,
    make_backup,
)
from zcc.ground import claims, clock, here

FAULTS = [
    "older-key-opened",
    "file.written",
    "file.renamed",
    "older-key-stored",
    "older-key-followed",
    "key-destroyed",
    "key-destroyed:2",
]


def overlap(living):
    return changing.carry_through(living, changing.to_internal(living, "ps2"))


def retire(living, operation):
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())


def roll_back(living, operation):
    decisions.roll_back(operation, reason="printers refuse it", by=living.alice, now=clock.now())


def on(living):
    rows = CertificateAuthority.objects.filter(zone=living.zone).order_by("generation")
    return list(rows.values_list("server__name", flat=True))


def numbers(living):
    """The generations in a backup made now, asked for on another server's console."""
    contents = backups.contents_of(
        living.zone,
        server=living.ca.server,
        home=here.home(living.ca.server.name),
        now=clock.now(),
    )
    return [generation.number for generation in contents.generations]


def test_they_stay_in_overlap_so_that_the_old_server_can_take_the_zone_back(living):
    overlap(living)

    assert on(living) == ["ps1", "ps2"]
    assert numbers(living) == [2]
    assert len(older_keys.lacking(living.zone, now=clock.now())) == 1


def test_they_follow_when_the_old_ca_is_retired_and_the_old_server_forgets(living):
    operation = overlap(living)

    retire(living, operation)
    living.run()

    assert_only_holder(living, "ps2")
    assert len(key_files("ps2")) == 3
    assert numbers(living) == [1, 2]
    assert make_backup(living, on="ps3")
    assert older_keys.lacking(living.zone, now=clock.now()) == []
    assert not SealedTransfer.objects.exists()
    entries = History(operation, {}, now=clock.now()).entries()
    said = f"{operation.old_ca.named}, from ps1 to ps2."
    assert [entry.text for entry in entries if entry.title == "Key moved"] == [said]


def test_key_of_a_rolled_back_ca_follows_to_the_server_that_took_the_zone_back(living):
    roll_back(living, overlap(living))
    living.run()

    assert_only_holder(living, "ps1")
    assert numbers(living) == [1, 2]


def test_they_follow_when_the_old_server_is_back(living):
    operation = overlap(living)
    living.fall_silent("ps1")
    retire(living, operation)
    living.run()
    assert on(living) == ["ps1", "ps2"]

    living.beat("ps1")
    living.run()

    assert_only_holder(living, "ps2")


def test_role_that_moves_on_meanwhile_is_followed(living):
    operation = overlap(living)
    living.fall_silent("ps1")
    retire(living, operation)
    living.run()
    ask_move(living, to="ps3", on="ps2")
    living.run()
    assert on(living) == ["ps1", "ps3"]

    living.beat("ps1")
    living.run()

    assert_only_holder(living, "ps3")


@pytest.mark.parametrize("forged", [{"public": b"\x09" + bytes(31)}, {"signature": None}])
def test_who_can_write_the_database_gets_no_key(living, forged):
    operation = overlap(living)
    SealingKey.objects.filter(device__name="ps2").update(**forged)

    retire(living, operation)
    living.run(only="fetch_older_keys", turns=1)
    living.run(only="give_key", turns=2)

    assert on(living) == ["ps1", "ps2"]
    assert SealedTransfer.objects.get().sealed is None


@pytest.mark.parametrize("what", ["another key", "damaged"])
def test_what_is_not_the_cas_key_is_not_kept_and_asked_for_again(living, what):
    retire(living, overlap(living))
    living.run(only="fetch_older_keys", turns=1)
    row = claims.claim(SealedTransfer.objects.all(), now=clock.now())
    stranger = pki_keys.to_der(pki_keys.generate("ec-p256"))
    sealed_transfer.give(row, stranger, home=here.home("ps1"), now=clock.now())
    if what == "damaged":
        SealedTransfer.objects.update(sealed=b"nothing that opens")
    living.run(only="fetch_older_keys", turns=1)
    assert on(living) == ["ps1", "ps2"]
    assert len(key_files("ps2")) == 2

    living.run()

    assert_only_holder(living, "ps2")


def test_key_that_ends_is_destroyed_where_it_is(living):
    operation = overlap(living)
    living.fall_silent("ps1")
    retire(living, operation)
    living.run()
    operation.old_ca.issued.exclude(purpose="ca").delete()
    KeyEnd.objects.update(due_at=clock.now() - timedelta(seconds=1))

    living.beat("ps1")
    living.run()

    operation.old_ca.refresh_from_db()
    assert operation.old_ca.key_destroyed_at is not None
    assert on(living) == ["ps1", "ps2"]
    assert holders() == {"ps2"}
    assert not SealedTransfer.objects.exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_break_at_any_step_ends_with_one_holder(living, monkeypatch, fault):
    operation = overlap(living)
    retire(living, operation)
    place, _, nth = fault.partition(":")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{place}:raise:{nth or 1}")
    for only in ("fetch_older_keys", "give_key", "fetch_older_keys", "remove_keys"):
        with suppress(OSError):
            living.run(only=only, turns=1)
    monkeypatch.delenv("ZCC_FAULTS")
    for rows in (SealedTransfer.objects, KeyRemoval.objects):
        rows.exclude(claim_id=None).update(lease_until=clock.now())
    SealedTransfer.objects.update(retry_at=None)

    living.run()

    assert_only_holder(living, "ps2")


def test_remint_on_the_same_server_has_nothing_to_fetch(living):
    living.reach("completed")

    assert not older_keys.is_due(living.zone, Device.objects.get(name="ps1"), now=clock.now())
    assert Operation.objects.get().state == "completed"
