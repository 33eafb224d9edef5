"""The key that signs what devices are told is away for a while; names as they were typed."""

import os
from datetime import timedelta

import pytest

from certificates import keys, trust
from certificates.models.authority import common_name
from zcc.ground import clock


@pytest.fixture
def locked(living, homes):
    """Give the CA server a wrong key-encryption key; return how it gets the right one back."""
    kek = homes["ps1"].read_file(keys.KEK_FILE)

    def lock():
        homes["ps1"].write_secret(keys.KEK_FILE, os.urandom(32))
        return lambda: homes["ps1"].write_secret(keys.KEK_FILE, kek)

    return lock


def test_operation_is_held_while_the_go_ahead_cannot_be_signed(living, locked):
    operation = living.reach("replicating")
    unlock = locked()
    living.replicate_now()
    living.run(turns=12)
    late = operation.activate_at - timedelta(minutes=9)
    living.run(at=late, turns=2)
    operation.refresh_from_db()
    assert operation.state == "assigned"
    assert "does not open" in operation.held_reason
    assert operation.can_cancel(late)

    unlock()
    living.run()
    living.run(at=late)

    operation.refresh_from_db()
    assert (operation.state, operation.problem, operation.held_reason) == ("armed", "", "")
    assert trust.update_in(trust.published(living.zone))["armed"]


def test_key_that_goes_away_after_arming_stops_no_activation_and_is_said(living, homes, locked):
    operation = living.reach("armed")
    unlock = locked()
    living.run(at=operation.activate_at, turns=12)
    operation.refresh_from_db()
    assert operation.state == "overlap"
    assert "does not open" in operation.problem

    unlock()
    living.run()

    operation.refresh_from_db()
    assert operation.problem == ""
    assert trust.update_in(trust.published(living.zone))["activated"]


@pytest.mark.parametrize("typed", ["Acme, Inc.", "Zürich = Köln", "a, b, c", "x, CN=y"])
def test_common_name_is_read_back_as_it_was_typed(living, typed):
    operation = living.remint(common_name=f"  {typed} ")
    living.run()

    operation.refresh_from_db()
    assert operation.common_name == typed
    assert operation.new_ca.common_name == typed
    assert operation.new_ca.created_at <= clock.now()


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=Acme, Inc., serialNumber=G1", "Acme, Inc."),
        ("CN=Root, OU=PKI, O=Acme, C=NO", "Root"),
        ("O=Acme, Inc.", "O=Acme, Inc."),
        ("CN=Root, 1.2.3.4=odd", "Root"),
        ("", ""),
    ],
)
def test_common_name_of_a_subject(subject, name):
    assert common_name(subject) == name
