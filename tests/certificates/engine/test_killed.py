"""Work breaks off between two lines; whoever repeats it finds what was done."""

import os
from contextlib import suppress

import pytest

from agent import faults
from certificates import keys
from certificates.actions import operations
from certificates.models import CertificateAuthority, IssuedCertificate, ServerCertificate
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock

# What the signing server's worker passes on its way; see fault_point in certificates/.
POINTS = ["ca-key-made", "ca-row-made", "planned", "signed", "links-made", "content-stored"]


def die_at(monkeypatch, point, nth=1):
    """Break off at a place. What a real kill -9 does there, the journeys see."""
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{point}:raise:{nth}")


def run_until_it_dies(living):
    with suppress(OSError):
        living.run()


@pytest.mark.parametrize("point", POINTS)
def test_preparing_ends_right_after_a_kill_at(living, homes, monkeypatch, point):
    operation = living.remint()
    die_at(monkeypatch, point)
    run_until_it_dies(living)
    monkeypatch.delenv("ZCC_FAULTS")
    expire_leases(living)

    living.run()

    operation.refresh_from_db()
    assert operation.state == "replicating"
    assert CertificateAuthority.objects.count() == 2
    assert len(list((homes["ps1"].path / "ca").glob("*-*.key"))) == 3  # two CAs, the update key
    assert ServerCertificate.objects.filter(state="future").count() == len(SERVERS)


def expire_leases(living):
    past = clock.now()
    for rows in (
        living.zone.operations.all(),
        ServerCertificate.objects.all(),
        living.zone.operations.get().servers.all(),
    ):
        rows.exclude(claim_id=None).update(lease_until=past)
        if any(field.name == "retry_at" for field in rows.model._meta.get_fields()):
            rows.update(retry_at=None)


def test_certificate_that_was_planned_and_not_signed_stays_accounted_for(living, monkeypatch):
    living.remint()
    die_at(monkeypatch, "planned", 4)  # root, two links, then the first server
    run_until_it_dies(living)
    monkeypatch.delenv("ZCC_FAULTS")
    expire_leases(living)

    living.run()

    assert IssuedCertificate.objects.filter(der=None).count() == 1
    assert ServerCertificate.objects.filter(state="future").count() == len(SERVERS)


def test_cancel_ends_right_after_a_kill_between_key_and_books(living, homes, monkeypatch):
    operation = living.reach("assigned")
    operations.cancel(operation, by=living.alice, now=clock.now())
    die_at(monkeypatch, "ca-key-destroyed")
    run_until_it_dies(living)
    monkeypatch.delenv("ZCC_FAULTS")
    expire_leases(living)

    living.run()

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert not keys.has_ca_key(homes["ps1"], operation.guid)


def test_missing_key_encryption_key_pauses_with_a_reason_and_resumes(living, homes):
    kek = homes["ps1"].read_file(keys.KEK_FILE)
    homes["ps1"].write_secret(keys.KEK_FILE, os.urandom(32))
    operation = living.remint()
    living.run()
    operation.refresh_from_db()
    assert operation.state == "preparing"
    assert "does not open" in operation.problem

    homes["ps1"].write_secret(keys.KEK_FILE, kek)
    expire_leases(living)
    living.run()

    operation.refresh_from_db()
    assert (operation.state, operation.problem) == ("replicating", "")


def test_key_of_one_ca_does_not_open_in_the_place_of_another(living, homes):
    operation = living.reach("replicating")
    ps1 = homes["ps1"]
    ps1.write_secret(f"ca/{operation.guid}.key", ps1.read_file(f"ca/{operation.old_ca.guid}.key"))

    with pytest.raises(keys.KeyUnavailable):
        keys.load_ca_key(ps1, living.zone, operation.guid)
