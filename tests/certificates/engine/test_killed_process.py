"""A worker is killed with SIGKILL between two lines; whoever repeats the step ends it right."""

import pytest
from cryptography import x509
from django.db import connection, connections

from agent import faults
from certificates import keys
from certificates.actions import operations, server_certificates
from certificates.models import (
    CertificateAuthority,
    IssuedCertificate,
    KeyEnd,
    LinkCertificate,
    Operation,
    ServerCertificate,
    ServerProgress,
)
from devices.models import Device
from tests.agent.killing import was_killed
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock, here

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="a database in memory is not a child's, too"
    ),
]

# Of the whole way to REPLICATING; the numbers count root, two links, then a server each.
PREPARING = [
    "file.created",
    "file.written",
    "file.renamed",
    "ca-key-made",
    "ca-row-made",
    *[f"{point}:{nth}" for point in ("planned", "signed") for nth in range(1, 7)],
    "links-made",
    "content-stored",
]


def kill_at(living, point):
    """Run until a child is killed at `point`, and let the leases of the dead be over."""
    name, _, nth = point.partition(":")
    connections.close_all()

    def run():
        faults.forget()
        living.run()

    assert was_killed(run, f"{name}:kill:{nth or 1}")
    past = clock.now()
    claimed = (Operation.objects, ServerCertificate.objects, KeyEnd.objects)
    for rows in (*claimed, ServerProgress.objects):
        rows.exclude(claim_id=None).update(lease_until=past)


def ca_keys(home):
    return sorted(path.name for path in (home.path / "ca").iterdir())


@pytest.mark.parametrize("point", PREPARING)
def test_preparing_makes_one_key_one_ca_and_a_certificate_a_server(living, homes, point):
    before = ca_keys(homes["ps1"])
    operation = living.remint()
    kill_at(living, point)

    living.run()

    operation.refresh_from_db()
    assert operation.state == "replicating"
    assert set(ca_keys(homes["ps1"])) - set(before) == {f"{operation.guid}.key"}
    assert CertificateAuthority.objects.filter(state="future").count() == 1
    assert LinkCertificate.objects.count() == 2
    certificates = ServerCertificate.objects.filter(operation=operation)
    assert sorted(certificates.values_list("device__name", "state")) == [
        (name, "future") for name in SERVERS
    ]


@pytest.mark.parametrize(
    ("point", "available"),
    [
        ("content-fetched:1", 1),
        ("content-counted:1", 2),
        ("content-fetched:2", 2),
        ("content-counted:2", 3),
    ],
)
def test_killed_replication_is_counted_as_far_as_it_came_and_assigned_once(
    living, point, available
):
    operation = living.reach("replicating")
    living.replicate_now()
    kill_at(living, point)

    replications = operation.update.replications
    assert replications.filter(state="available").count() == available
    operation.refresh_from_db()
    assert operation.state == "replicating"
    past = clock.now()
    replications.exclude(claim_id=None).update(lease_until=past)
    living.run()

    assert replications.filter(state="available").count() == 3
    assert operation.update.events.filter(state="assigned").count() == 1
    assert operation.events.filter(state="assigned").count() == 1


@pytest.mark.parametrize("point", ["planned:1", "signed:1", "planned:5", "signed:5"])
def test_write_ahead_rows_account_for_every_signature(living, point):
    living.remint()
    kill_at(living, point)

    living.run()

    rows = IssuedCertificate.objects.all()
    assert rows.filter(der=None).count() == 1
    in_use = [*ServerCertificate.objects.all(), *CertificateAuthority.objects.all()]
    in_use += LinkCertificate.objects.all()
    signed = {bytes(row.der) for row in rows.exclude(der=None)}
    assert {bytes(row.der) for row in in_use} == signed
    assert all(signed_part(row) == bytes(row.tbs) for row in rows.exclude(der=None))


def signed_part(row):
    return x509.load_der_x509_certificate(bytes(row.der)).tbs_certificate_bytes


@pytest.mark.parametrize("nth", [1, 4, 7, 10, 14])
def test_server_killed_while_it_switches_ends_with_the_new_certificate(living, homes, nth):
    operation = living.reach("armed")
    operations.advance(operation, now=operation.activate_at)
    kill_at(living, f"file.renamed:{nth}")

    living.run()

    assert {home.live().operation for home in homes.values()} == {str(operation.guid)}
    assert ServerCertificate.objects.current().filter(operation=operation).count() == 3
    operation.refresh_from_db()
    assert operation.state == "overlap"


@pytest.mark.parametrize("nth", [1, 2])
def test_worker_killed_after_the_updater_tool_ran_runs_it_again(living, nth):
    living.reach("replicating")
    living.replicate_now()
    kill_at(living, f"updater-ran:{nth}")
    noted = ServerProgress.objects.exclude(updater_ran_at=None).count()

    living.run()

    rows = ServerProgress.objects.order_by("updater_ran_at")
    assert (noted, rows.first().device.name) == (nth - 1, "ps1")
    assert rows.filter(updater_problem="").exclude(updater_ran_at=None).count() == 3


@pytest.mark.parametrize(
    "point", ["file.removed:1", "file.removed:4", "file.removed:9", "ca-key-destroyed"]
)
def test_killed_cancel_leaves_nothing_behind(living, homes, point):
    operation = living.reach("assigned")
    operations.cancel(operation, by=living.alice, now=clock.now())
    kill_at(living, point)

    living.run()

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert not keys.has_ca_key(here.home("ps1"), operation.guid)
    for home in homes.values():
        assert not list((home.path / "remint-repo").iterdir())
        assert home.content_items() == []


@pytest.mark.parametrize(
    "point", ["file.written:1", "planned:1", "signed:1", *(f"file.renamed:{n}" for n in (2, 3, 4))]
)
def test_killed_renewal_ends_with_the_fresh_certificate(living, homes, point):
    servers = [Device.objects.select_related("zone").get(name="ps2")]
    server_certificates.remint(servers, by=living.alice, now=clock.now())
    kill_at(living, point)

    living.run()

    rows = ServerCertificate.objects.filter(device__name="ps2").order_by("pk")
    assert list(rows.values_list("state", flat=True)) == ["previous", "current"]
    assert homes["ps2"].live().leaf_sha256 == rows.last().sha256


@pytest.mark.parametrize("point", ["ca-key-ends", "file.removed:1", "ca-key-destroyed"])
def test_killed_end_of_a_key_is_completed_and_said_once(living, point):
    operation = living.reach("completed")
    operation.old_ca.issued.exclude(purpose="ca").delete()
    KeyEnd.objects.update(due_at=clock.now())
    kill_at(living, point)

    living.run()

    operation.old_ca.refresh_from_db()
    assert operation.old_ca.key_destroyed_at is not None
    assert not keys.has_ca_key(here.home("ps1"), operation.old_ca.guid)
    assert operation.events.filter(note__startswith="Key destroyed").count() == 1
