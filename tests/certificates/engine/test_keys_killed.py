"""A worker is killed with SIGKILL between two lines of Move, Restore and Backup."""

import pytest
from django.db import connection, connections

from agent import faults
from certificates.models import KeyRemoval, KeyRequest
from tests.agent.killing import was_killed
from tests.certificates.engine.beside_external import (
    assert_only_signing_server,
    outside,
    retired,
)
from tests.certificates.engine.keeping import (
    after,
    ask_backup,
    ask_move,
    ask_restore,
    assert_only_holder,
    fetched,
    make_backup,
)
from zcc.ground import clock

__all__ = ["outside", "retired"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="a database in memory is not a child's, too"
    ),
]

STORING = ["file.created:1", "file.written:1", "file.renamed:1", "key-stored:1", "key-stored:2"]
DESTROYING = ["role-moved:1", "file.removed:1", "key-destroyed:1", "key-destroyed:2"]


def kill_at(living, point):
    """Run until a child is killed at `point`, and let the leases of the dead be over."""
    name, _, nth = point.partition(":")
    connections.close_all()

    def run():
        faults.forget()
        living.run()

    assert was_killed(run, f"{name}:kill:{nth or 1}")
    for rows in (KeyRequest.objects, KeyRemoval.objects):
        rows.exclude(claim_id=None).update(lease_until=clock.now())


@pytest.mark.parametrize(
    "point",
    ["move-sealed", *STORING, "move-stored", "move-proven", "move-checked", *DESTROYING],
)
def test_killed_move_ends_with_one_server_that_signs(living, point):
    living.reach("overlap")
    request = ask_move(living, to="ps2", on="ps3")
    kill_at(living, point)

    living.run()

    assert after(request) == ("done", "")
    assert_only_holder(living, "ps2")


@pytest.mark.parametrize("point", ["restore-opened", *STORING, "restore-stored", *DESTROYING])
def test_killed_restore_ends_with_one_server_that_signs(living, point):
    living.reach("completed")
    request = ask_restore(living, make_backup(living), to="ps2", on="ps3")
    kill_at(living, point)

    living.run()

    assert after(request) == ("done", "")
    assert_only_holder(living, "ps2")


@pytest.mark.parametrize(
    "point",
    ["move-sealed", *STORING[:-1], "identity-key-stored", "move-stored", "move-proven",
     "move-checked", *DESTROYING, "identity-key-destroyed"],
)  # fmt: skip
def test_killed_move_beside_an_external_ca_ends_with_one_server_that_signs(outside, point):
    request = ask_move(outside, to="ps2", on="ps3")
    kill_at(outside, point)

    outside.run()

    assert after(request) == ("done", "")
    assert_only_signing_server(outside, "ps2")


@pytest.mark.parametrize(
    "point",
    ["restore-opened", "identity-key-stored", "restore-stored", "role-moved", "key-destroyed",
     "identity-key-destroyed"],
)  # fmt: skip
def test_killed_restore_beside_an_external_ca_ends_with_one_server_that_signs(retired, point):
    request = ask_restore(retired, make_backup(retired), to="ps2", on="ps3")
    kill_at(retired, point)

    retired.run()

    assert after(request) == ("done", "")
    assert_only_signing_server(retired, "ps2")


@pytest.mark.parametrize("point", ["backup-asked", "backup-made", "backup-read-back"])
def test_killed_backup_is_made_by_the_next_worker(living, point):
    request = ask_backup(living, on="ps2")
    kill_at(living, point)

    living.run()

    assert fetched(request)
    assert_only_holder(living, "ps1")
