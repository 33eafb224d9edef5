"""Move and restore of the zone's own keys while its CA is external."""

from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import faults
from certificates import custody, identity_cas, keys, trust
from certificates.actions import decisions, key_requests, retirements
from certificates.actions.authorities import Refused
from certificates.models import (
    CertificateAuthority,
    IdentityCA,
    KeyRemoval,
    KeyRequest,
    Operation,
)
from devices.models import Device
from pki import backup, backup_contents
from tests.certificates.engine import changing
from tests.certificates.engine.beside_external import (
    assert_only_signing_server,
    outside,
    retired,
)
from tests.certificates.engine.keeping import (
    PASSPHRASE,
    after,
    ask_backup,
    ask_move,
    ask_restore,
    key_files,
    make_backup,
    nothing_secret_is_left,
    server,
)
from tests.certificates.engine.test_mobiles import Phone
from zcc.ground import clock, here

__all__ = ["outside", "retired"]

# The others are those of a move and a restore in an internal zone.
MOVING = ["identity-key-stored", "move-proven", "role-moved", "identity-key-destroyed"]
RESTORING = ["identity-key-stored", "restore-stored", "role-moved"]


def lose(name):
    for path in (here.home(name).path / "ca").glob("*.key"):
        path.unlink()


def test_keys_move_to_another_server(outside):
    signer = identity_cas.in_force(outside.ca)
    request = ask_move(outside, to="ps2", on="ps3")
    outside.run()

    assert after(request) == ("done", "")
    assert nothing_secret_is_left(request)
    assert_only_signing_server(outside, "ps2")
    assert identity_cas.in_force(outside.ca) == signer  # the same CA, on another server
    assert key_files("ps1") == []
    outside.first_ca.refresh_from_db()
    assert outside.first_ca.server.name == "ps2"  # still trusted, and its key went along


def test_role_moves_there_and_back(retired):
    for to in ("ps2", "ps1"):
        ask_move(retired, to=to)
        retired.run()
        assert_only_signing_server(retired, to)


def test_mobile_enrols_and_renews_with_the_new_server(retired):
    before = Phone(retired.zone)
    assert before.enrol().status == 200
    ask_move(retired, to="ps2")
    retired.run()

    after_it = Phone(retired.zone, "phone-2")
    assert after_it.enrol().status == 200
    assert after_it.row.identity_ca == before.row.identity_ca
    assert after_it.row.identity_ca.server.name == "ps2"


def test_zone_goes_on_with_an_operation_from_the_new_server(retired):
    ask_move(retired, to="ps2")
    retired.run()

    operation = changing.carry_through(retired, changing.to_internal(retired, "ps2"))

    assert operation.initiating_server.name == "ps2"
    assert trust.update_in(trust.published(retired.zone))["activated"]


def test_rollback_after_a_move_in_overlap_leaves_the_zone_with_its_keys(outside):
    ask_move(outside, to="ps2")
    outside.run()

    decisions.roll_back(Operation.objects.get(), reason="no", by=outside.alice, now=clock.now())
    outside.run()

    assert (outside.ca, outside.ca.server.name) == (outside.first_ca, "ps2")
    assert trust.publish(outside.zone, home=here.home("ps2"), now=clock.now(), above=10**6)


def test_identity_ca_that_did_not_come_is_made_anew(retired):
    signer = identity_cas.in_force(retired.ca)
    request = ask_move(retired, to="ps2")
    retired.run(only="key_request", turns=2)
    KeyRequest.objects.update(
        proofs={**KeyRequest.objects.get(pk=request.pk).proofs, str(signer.guid): "00"}
    )

    retired.run()

    assert after(request) == ("done", "")
    assert_only_signing_server(retired, "ps2")
    assert identity_cas.in_force(retired.ca) != signer


def test_move_without_the_proof_of_the_update_key_is_refused(retired):
    request = ask_move(retired, to="ps2")
    retired.run(only="key_request", turns=2)
    KeyRequest.objects.update(proofs={})

    retired.run()

    assert after(request) == ("refused", "ps2 could not prove that it can sign.")
    assert_only_signing_server(retired, "ps1")


@pytest.mark.parametrize("fault", MOVING)
def test_move_that_breaks_off_ends_with_one_holder(outside, monkeypatch, fault):
    ask_move(outside, to="ps2")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{fault}:raise:1")
    with suppress(OSError):
        outside.run(turns=3)
    monkeypatch.delenv("ZCC_FAULTS")
    KeyRemoval.objects.update(lease_until=clock.now())

    outside.run()

    assert_only_signing_server(outside, "ps2")


def test_returning_holder_destroys_its_copy_before_it_answers(retired):
    ring = keys.ring(here.home("ps1"), retired.zone)
    ask_move(retired, to="ps2")
    retired.run()
    keys.store_ring(here.home("ps1"), retired.zone, ring)  # as if it had been away meanwhile

    custody.tidy(server("ps1"), home=here.home("ps1"))

    assert_only_signing_server(retired, "ps2")


@pytest.mark.parametrize("to", ["ps1", "ps2"])
def test_lost_keys_come_back_from_a_backup(retired, to):
    signer, file = identity_cas.in_force(retired.ca), make_backup(retired)
    lose("ps1")
    request = ask_restore(retired, file, to=to, on="ps3")
    retired.run()

    assert after(request) == ("done", "")
    assert_only_signing_server(retired, to)
    assert identity_cas.in_force(retired.ca) == signer


def test_backup_from_before_the_ca_was_external_is_enough(retired):
    signer = identity_cas.in_force(retired.ca)
    lose("ps1")
    retired.fall_silent("ps1")
    request = ask_restore(retired, retired.file, to="ps2", on="ps3")
    retired.run()

    assert after(request) == ("done", "")
    assert_only_signing_server(retired, "ps2")
    assert identity_cas.in_force(retired.ca) != signer  # that one was in no backup


def test_identity_ca_that_was_replaced_since_does_not_come_back(retired):
    old, file = identity_cas.in_force(retired.ca), make_backup(retired)
    identity_cas.replace(old, at=clock.now())
    retired.run()
    ask_restore(retired, file, to="ps2")
    retired.run()

    assert_only_signing_server(retired, "ps2")
    assert old.guid not in keys.identity_keys(here.home("ps2"))


def test_identity_ca_whose_key_was_destroyed_since_does_not_come_back(outside):
    file, signer = make_backup(outside), IdentityCA.objects.get()
    operation = Operation.objects.get()
    decisions.roll_back(operation, reason="no", by=outside.alice, now=clock.now())
    outside.run()
    operation.refresh_from_db()
    retirements.retire_rolled_back_ca(operation, by=outside.alice, now=clock.now())
    outside.run()
    custody.tidy(server("ps1"), home=here.home("ps1"))
    signer.refresh_from_db()
    assert signer.key_destroyed_at is not None

    request = ask_restore(outside, file, to="ps2")
    outside.run()

    assert after(request) == ("done", "")
    assert keys.identity_keys(here.home("ps2")) == set()


def test_server_that_stored_the_keys_too_late_destroys_them(retired, monkeypatch):
    request = ask_restore(retired, make_backup(retired), to="ps2")
    stored = keys.store_ring

    def slow(home, zone, ring):
        found = stored(home, zone, ring)
        key_requests.expire(zone, now=clock.now() + timedelta(seconds=61))
        KeyRemoval.objects.all().delete()  # as if it had been carried out just before
        return found

    monkeypatch.setattr(keys, "store_ring", slow)
    retired.run()

    assert after(request)[0] == "refused"
    assert_only_signing_server(retired, "ps1")


def test_moved_identity_ca_is_not_called_lost_by_the_server_that_had_it(retired):
    signer = identity_cas.in_force(retired.ca)
    ask_move(retired, to="ps2")
    retired.run()

    identity_cas.replace(signer, at=clock.now())

    signer.refresh_from_db()
    assert (signer.server.name, signer.replaced_at) == ("ps2", None)


def test_key_that_was_destroyed_since_does_not_come_back(retired):
    first = CertificateAuthority.objects.get(pk=retired.first_ca.pk)
    first.mark_key_destroyed(at=clock.now())

    ask_restore(retired, retired.file, to="ps2")
    retired.run()

    assert_only_signing_server(retired, "ps2")
    assert not keys.has_ca_key(here.home("ps2"), first.guid)


def test_servers_of_different_versions_do_none_of_it(retired):
    Device.objects.filter(name="ps3").update(version="0.9")

    for ask in (
        lambda: ask_backup(retired),
        lambda: ask_move(retired, to="ps2"),
        lambda: ask_restore(retired, retired.file, to="ps2"),
    ):
        with pytest.raises(Refused, match=r"the same version first\. .*ps3 has 0\.9"):
            ask()
    retired.fall_silent("ps3")
    assert ask_backup(retired)


def test_restore_is_refused_in_overlap(outside):
    with pytest.raises(Refused, match="Two CAs are trusted side by side"):
        ask_restore(outside, outside.file)


def test_backup_with_another_update_key_is_refused(retired, homes):
    found = backup.read(make_backup(retired), PASSPHRASE)
    other = Ed25519PrivateKey.generate()
    changed = backup_contents.Contents(**{**vars(found), "update_key": other})

    request = ask_restore(retired, backup.write(changed, PASSPHRASE), to="ps2")
    retired.run()

    assert "not the one that the zone's devices know" in after(request)[1]
    assert_only_signing_server(retired, "ps1")


@pytest.mark.parametrize("fault", RESTORING)
def test_restore_that_breaks_off_ends_with_one_holder(retired, monkeypatch, fault):
    ask_restore(retired, make_backup(retired), to="ps2")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{fault}:raise:1")
    with suppress(OSError):
        retired.run(turns=2)
    monkeypatch.delenv("ZCC_FAULTS")
    for rows in (KeyRemoval.objects, KeyRequest.objects, IdentityCA.objects):
        rows.exclude(lease_until=None).update(lease_until=clock.now())

    retired.run()

    assert_only_signing_server(retired, "ps2")
