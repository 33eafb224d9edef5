"""The database refuses a row at the worst moment: the work is done again and accounted for."""

from contextlib import contextmanager, suppress

import pytest
from django.db import Error, connection

from certificates.models import CertificateAuthority, IssuedCertificate, ServerCertificate
from zcc.ground import clock

pytestmark = pytest.mark.django_db(transaction=True)

REFUSE = {
    "sqlite": ["CREATE TRIGGER refuse BEFORE {} BEGIN SELECT RAISE(ABORT, 'refused'); END"],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        "CREATE TRIGGER refuse BEFORE {} FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}
ALLOW = {
    "sqlite": "DROP TRIGGER refuse",
    "postgresql": "DROP FUNCTION refuse() CASCADE",
}


@contextmanager
def refused(change):
    """While this lasts the database refuses `change`: `UPDATE ON table`, `INSERT ON table`."""
    with connection.cursor() as cursor:
        for statement in REFUSE[connection.vendor]:
            cursor.execute(statement.format(change))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(ALLOW[connection.vendor])


@pytest.mark.parametrize(
    ("change", "unsigned"),
    [
        ("UPDATE ON certificates_issuedcertificate", 1),
        ("INSERT ON certificates_issuedcertificate", 0),
        ("INSERT ON certificates_linkcertificate", 0),
        ("INSERT ON certificates_certificateauthority", 0),
        ("INSERT ON certificates_operationevent", 0),
        ("INSERT ON systemupdates_replication", 0),
    ],
)
def test_preparing_ends_right_after_the_database_refused(living, homes, change, unsigned):
    operation = living.remint()
    with refused(change), suppress(Error):
        living.run()
    operation.refresh_from_db()
    assert operation.state == "preparing"
    living.zone.operations.update(lease_until=clock.now())

    living.run()

    operation.refresh_from_db()
    assert operation.state == "replicating"
    assert IssuedCertificate.objects.filter(der=None).count() == unsigned
    assert CertificateAuthority.objects.filter(state="future").count() == 1
    assert len(list((homes["ps1"].path / "ca").glob(f"{operation.guid}*"))) == 1
    assert ServerCertificate.objects.filter(state="future").count() == 3


def test_operation_whose_event_cannot_be_written_does_not_begin(living):
    with refused("INSERT ON certificates_operationevent"), pytest.raises(Error):
        living.remint()

    assert not living.zone.operations.exists()
    assert not living.zone.updates.exists()
