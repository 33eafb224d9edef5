"""An Authentication Satellite that is installed again while an operation is open."""

import pytest

from certificates import taking_part
from certificates.actions import decisions
from certificates.models import Operation, ServerCertificate
from certificates.server_rows import server_rows
from certificates.standing import Standing
from devices.models import Device
from tests.certificates.engine import changing
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock


@pytest.fixture
def acme(tmp_path):
    return ExternalCA(tmp_path / "outside")


@pytest.fixture
def auth1(make_satellite):
    """A Satellite with its first certificate."""
    auth1 = make_satellite()
    auth1.refresh(4)
    return auth1


@pytest.fixture
def install_again(tmp_path):
    """Give the Satellite an empty home, and let it enrol and refresh for the first time."""

    def install_again(auth1):
        auth1.move_into(tmp_path / "devices/again")
        taking_part.enrolled(
            Device.objects.select_related("zone").get(pk=auth1.row.pk), now=clock.now()
        )
        auth1.refresh()

    return install_again


def progress_of(auth1, operation):
    row = operation.servers.get(device=auth1.row)
    return [name for name in ("requested_at", "staged_at", "armed_at") if getattr(row, name)]


def row_of(auth1):
    rows = server_rows(Standing(auth1.living.zone, now=clock.now()))
    return next(row for row in rows if row.device.pk == auth1.row.pk)


def switch(auth1, operation):
    """Let the hour come; the Satellite arms and switches as its agent does."""
    auth1.living.run(at=operation.cutoff_at)
    auth1.living.run(at=operation.activate_at)
    auth1.home.activate(str(operation.guid))
    auth1.refresh(2)


@pytest.mark.parametrize("state", ["assigned", "armed"])
def test_it_gets_both_certificates_for_keys_that_it_has(living, auth1, install_again, state):
    operation = living.reach("assigned")
    auth1.refresh(4)
    if state == "armed":
        living.run(at=operation.cutoff_at)
        operation.servers.filter(device=auth1.row).update(armed_at=clock.now())
    lost = ServerCertificate.objects.get(device=auth1.row, state="future").sha256

    install_again(auth1)

    assert progress_of(auth1, operation) == []
    row = row_of(auth1)
    assert (row.current, row.future, row._since()) == (None, None, "")

    auth1.refresh(8)

    assert progress_of(auth1, operation) == ["requested_at", "staged_at"]
    assert auth1.shows_its_row()
    future = ServerCertificate.objects.get(device=auth1.row, state="future")
    assert auth1.home.staged().leaf_sha256 == future.sha256 != lost
    switch(auth1, operation)
    assert auth1.shows_its_row()
    assert ServerCertificate.objects.current().get(device=auth1.row).operation == operation


def test_request_for_an_external_ca_is_made_anew(living, acme, auth1, install_again):
    operation = changing.to_external(living, acme)
    living.run()
    auth1.refresh(3)
    changing.import_all(acme, operation)
    auth1.refresh(2)

    install_again(auth1)
    auth1.refresh(6)

    assert auth1.certificates[-2:] == [("current", None), ("requested", operation.pk)]
    assert row_of(auth1).needs_you
    changing.import_all(acme, operation)
    changing.replicate(living, operation)
    living.run()
    auth1.refresh(3)
    switch(auth1, operation)
    assert auth1.shows_its_row()


@pytest.fixture
def outside(living, acme, auth1):
    """The zone with an external CA; the Satellite has a certificate of it."""
    operation = changing.to_external(living, acme)
    living.run()
    auth1.refresh(3)
    changing.carry_through(living, operation, external=acme, until="assigned")
    auth1.refresh(3)
    switch(auth1, operation)
    assert auth1.shows_its_row()
    return living


def test_with_an_external_ca_it_gets_the_certificate_of_the_operation_alone(
    outside, auth1, install_again
):
    operation = changing.to_internal(outside, "ps2")
    changing.carry_through(outside, operation, until="assigned")
    auth1.refresh(4)
    assert "staged_at" in progress_of(auth1, operation)

    install_again(auth1)
    assert row_of(auth1).without == "None. It gets that of this operation."
    auth1.refresh(6)

    assert progress_of(auth1, operation) == ["requested_at", "staged_at"]
    switch(auth1, operation)
    assert auth1.shows_its_row()


def test_without_an_operation_an_external_ca_leaves_it_without_a_certificate(
    outside, auth1, install_again
):
    install_again(auth1)
    auth1.refresh(4)

    assert not ServerCertificate.objects.filter(
        device=auth1.row, state__in=["current", "requested"]
    ).exists()
    assert row_of(auth1).without.endswith("signs it one with the next Change CA.")


def test_rollback_does_not_wait_for_what_is_gone(living, auth1, install_again):
    operation = auth1.switch()
    decisions.roll_back(
        Operation.objects.get(pk=operation.pk), reason="x", by=living.alice, now=clock.now()
    )
    living.run()

    install_again(auth1)
    auth1.refresh(5)

    assert operation.servers.get(device=auth1.row).rolled_back_at is not None
    assert auth1.shows_its_row()
