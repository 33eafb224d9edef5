"""Move CA Role: all keys go to one other server, which proves them before the first forgets."""

from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest

from agent import faults
from certificates import custody, joining, keys, trust
from certificates.actions import authorities, key_requests
from certificates.actions.authorities import OperationInProgress, Refused
from certificates.models import CertificateAuthority, KeyRemoval, KeyRequest, SealingKey
from pki import keys as pki_keys
from tests.certificates.engine.conftest import new_server
from tests.certificates.engine.keeping import (
    after,
    ask_move,
    assert_only_holder,
    holders,
    key_files,
    nothing_secret_is_left,
    role,
    server,
)
from zcc.ground import clock, here

FAULTS = [
    "move-sealed",
    "file.written",
    "file.renamed",
    "key-stored",
    "key-stored:2",
    "move-stored",
    "move-proven",
    "move-checked",
    "role-moved",
    "key-destroyed",
    "key-destroyed:2",
    "file.removed",
]


@pytest.mark.parametrize("on", ["ps1", "ps2", "ps3"])
def test_role_and_keys_go_to_the_other_server(living, on):
    request = ask_move(living, to="ps2", on=on)
    living.run()

    assert after(request) == ("done", "")
    assert (request.asked_by, request.asked_from.name) == (living.alice, on)
    assert nothing_secret_is_left(request)
    assert_only_holder(living, "ps2")


def test_every_generation_and_the_update_key_move_together(living):
    living.reach("overlap")
    before = key_files("ps1")
    assert len(before) == 3

    ask_move(living, to="ps3")
    living.run()

    assert key_files("ps3") == before
    assert_only_holder(living, "ps3")


def test_update_key_leaves_a_server_that_retired_external_cas_still_name(living):
    retired = CertificateAuthority.objects.get()
    retired.pk, retired.guid, retired.generation = None, uuid4(), 0
    retired.kind, retired.state, retired.retired_at = "external", "retired", clock.now()
    retired.save(force_insert=True)

    ask_move(living, to="ps2")
    living.run()

    assert key_files("ps1") == []
    assert len(key_files("ps2")) == 2


def test_new_holder_signs_what_the_zone_goes_on_with(living):
    ask_move(living, to="ps2")
    living.run()

    operation = living.reach("overlap")

    assert operation.initiating_server.name == "ps2"
    assert key_files("ps1") == []
    assert len(key_files("ps2")) == 3
    assert trust.update_in(trust.published(living.zone))["activated"]


def test_role_moves_there_and_back(living):
    for to in ("ps2", "ps3", "ps1"):
        ask_move(living, to=to)
        living.run()
        assert_only_holder(living, to)


@pytest.mark.parametrize("state", ["replicating", "assigned", "armed"])
def test_it_is_refused_while_an_operation_is_open(living, state):
    living.reach(state)

    with pytest.raises(Refused, match=r"Remint CA is in progress\."):
        ask_move(living, to="ps2")
    assert holders() == {"ps1"}


def test_it_is_refused_when_an_operation_begins_meanwhile(living):
    request = ask_move(living, to="ps2")
    living.run(only="key_request", turns=2)
    living.remint()

    living.run()

    state, problem = after(request)
    assert state == "refused"
    assert problem.startswith("Remint CA is in progress.")
    assert role(living) == {"ps1"}
    assert holders() == {"ps1"}


def test_operation_does_not_begin_on_a_server_that_has_just_lost_the_role(living):
    seen_before = living.ca
    assert seen_before.server.name == "ps1"
    ask_move(living, to="ps2")
    living.run()

    with pytest.raises((Refused, OperationInProgress), match="another server has it"):
        authorities.remint(seen_before, living.wishes(), by=living.alice, now=clock.now())


@pytest.mark.parametrize(
    ("to", "away", "sentence"),
    [
        ("ps1", None, "ps1 has the CA role already"),
        ("ps2", "ps2", "ps2 does not answer"),
        ("ps2", "ps1", "restore the CA on another Primary Server from its backup"),
    ],
)
def test_it_is_refused_with_a_reason(living, to, away, sentence):
    if away:
        living.fall_silent(away)

    with pytest.raises(Refused, match=sentence):
        ask_move(living, to=to)
    assert not KeyRequest.objects.exists()


def test_two_at_once_are_one(living):
    ask_move(living, to="ps2")

    with pytest.raises(Refused, match="Move CA Role is in progress"):
        ask_move(living, to="ps3")


def test_key_goes_to_no_server_whose_public_key_somebody_replaced(living):
    request = ask_move(living, to="ps2")
    stranger = SealingKey.objects.get(device__name="ps3")
    SealingKey.objects.filter(device__name="ps2").update(public=stranger.public)

    living.run()

    state, problem = after(request)
    assert state == "refused"
    assert "is not its own" in problem
    assert request.sealed is None
    assert_still_ours(living)


@pytest.mark.parametrize("forged", ["voucher", "signature", "chain"])
def test_every_proof_of_the_receivers_key_is_looked_at(living, forged):
    """With a real key of ps3 and all but one of what makes it that of ps2."""
    request = ask_move(living, to="ps2")
    other = SealingKey.objects.get(device__name="ps3")
    SealingKey.objects.filter(device__name="ps2").update(**{forged: getattr(other, forged)})

    living.run()

    assert after(request)[0] == "refused"
    assert_still_ours(living)


def assert_still_ours(living):
    assert role(living) == {"ps1"}
    assert holders() == {"ps1"}


def test_holder_keeps_the_role_when_the_other_cannot_prove_its_keys(living):
    request = ask_move(living, to="ps2")
    living.run(only="key_request", turns=2)
    KeyRequest.objects.filter(state="proven").update(proofs={"update": "00"})

    living.run()

    assert after(request) == ("refused", "ps2 could not prove that it can sign.")
    assert_only_holder(living, "ps1")


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_holder_keeps_the_role_when_nobody_goes_on(living, turns):
    request = ask_move(living, to="ps2")
    living.run(only="key_request", turns=turns)

    key_requests.expire(living.zone, now=clock.now() + timedelta(seconds=61))
    living.run()

    assert after(request)[0] == "refused"
    assert nothing_secret_is_left(request)
    assert_only_holder(living, "ps1")


@pytest.mark.parametrize("fault", FAULTS)
def test_move_that_breaks_off_ends_with_one_holder(living, monkeypatch, fault):
    ask_move(living, to="ps2")
    place, _, nth = fault.partition(":")
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{place}:raise:{nth or 1}")
    with suppress(OSError):
        living.run(turns=3)
    monkeypatch.delenv("ZCC_FAULTS")
    KeyRemoval.objects.update(lease_until=clock.now())

    living.run()

    assert len(holders()) == 1
    assert_only_holder(living, "ps2")


def test_returning_holder_destroys_its_copy_before_it_answers(living):
    ring = keys.ring(here.home("ps1"), living.zone)
    ask_move(living, to="ps2")
    living.run()
    keys.store_ring(here.home("ps1"), living.zone, ring)  # as if it had been away meanwhile

    assert custody.tidy(server("ps1"), home=here.home("ps1")) == 2

    assert_only_holder(living, "ps2")


def test_server_that_has_keys_on_their_way_keeps_them(living):
    ask_move(living, to="ps2")
    living.run(only="key_request", turns=2)
    assert holders() == {"ps1", "ps2"}

    assert custody.tidy(server("ps2"), home=here.home("ps2")) == 0
    assert holders() == {"ps1", "ps2"}


def test_server_that_makes_the_key_of_a_begun_operation_keeps_it(living):
    operation = living.remint()
    make = lambda: pki_keys.generate("ec-p256")  # noqa: E731
    keys.make_ca_key(here.home("ps1"), living.zone, operation.guid, make)

    assert custody.tidy(server("ps1"), home=here.home("ps1")) == 0


def test_join_token_of_the_old_holder_is_refused_by_the_new_one(living):
    token = joining.create_token(living.zone, home=here.home("ps1"), now=clock.now())
    ask_move(living, to="ps2")
    living.run()

    asked = joining.ask(token, new_server(4), home=here.home("ps4"), now=clock.now())
    living.run()

    asked.refresh_from_db()
    assert asked.refusal == "The join token does not fit this request."
