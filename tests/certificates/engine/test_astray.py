"""Messages that go astray or come twice, and workers that wake up when all is over."""

import io
import threading
import time

import pytest
from django.db import connection

from agent import faults
from certificates import preparing, tasks
from certificates.actions import operations
from certificates.models import CertificateAuthority
from systemupdates import tasks as content_tasks
from systemupdates.models import Replication
from zcc.ground import claims, clock, here


@pytest.fixture
def on_ps2(living, monkeypatch):
    """What is done is done by a worker of ps2."""
    return lambda: monkeypatch.setenv(here.VARIABLE, "ps2")


def test_preparing_is_not_begun_on_a_server_without_the_ca_role(living, homes, on_ps2):
    operation = living.remint()
    on_ps2()

    tasks.prepare(operation_id=operation.pk)

    operation.refresh_from_db()
    assert (operation.state, operation.problem, operation.claim_id) == ("preparing", "", None)
    assert not list((homes["ps2"].path / "ca").iterdir())


def test_step_of_one_server_is_not_done_in_the_home_of_another(living, homes, on_ps2):
    operation = living.remint()
    on_ps2()

    tasks.server_step(progress_id=operation.servers.get(device__name="ps3").pk)

    assert homes["ps2"].read_file("remint-repo/key.der") is None
    assert operation.servers.get(device__name="ps3").requested_at is None


def test_books_of_a_cancel_are_closed_only_where_the_key_is_destroyed(living, homes, on_ps2):
    operation = living.reach("assigned")
    operations.cancel(operation, by=living.alice, now=clock.now())
    operation.servers.update(cleaned_at=clock.now())
    on_ps2()

    tasks.finish_cancel(operation_id=operation.pk)

    operation.refresh_from_db()
    assert operation.state == "cancelling"
    assert homes["ps1"].read_file(f"ca/{operation.guid}.key")


def test_content_is_fetched_only_by_the_server_it_is_for(living, homes, on_ps2):
    operation = living.reach("replicating")
    row = Replication.objects.get(update=operation.update, server__name="ps3")
    on_ps2()

    content_tasks.replicate(replication_id=row.pk)

    row.refresh_from_db()
    assert row.state == "waiting"


def claimed_replication(operation, server):
    """The row of a worker that has begun to fetch the content to this server."""
    rows = Replication.objects.filter(update=operation.update, server__name=server)
    claimed = claims.claim(rows, now=clock.now())
    return Replication.objects.select_related("update", "server").get(pk=claimed.pk)


def test_cancel_waits_for_content_that_is_being_fetched_and_removes_it(living, homes, on_ps2):
    operation = living.reach("replicating")
    row = claimed_replication(operation, "ps2")
    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()
    operation.refresh_from_db()
    assert operation.state == "cancelling"

    on_ps2()
    content_tasks.replication.fetch(row, home=homes["ps2"], now=clock.now())
    operation.servers.update(retry_at=None)
    living.run()

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert homes["ps2"].content_items() == []


def test_content_that_comes_after_the_cancel_is_dropped(living, homes, on_ps2):
    operation = living.reach("replicating")
    update = operation.update
    content = homes["ps1"].open_content(update.content_sha256).read()
    row = claimed_replication(operation, "ps2")
    Replication.objects.filter(pk=row.pk).update(lease_until=clock.now())
    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()
    operation.refresh_from_db()
    assert operation.state == "cancelled"

    homes["ps2"].add_content(update.content_sha256, io.BytesIO(content))
    on_ps2()
    content_tasks.replication.fetch(row, home=homes["ps2"], now=clock.now())

    assert homes["ps2"].content_items() == []


def test_every_message_twice_has_one_effect(living):
    operation = living.remint()
    done_once = living.do

    def twice(ring):
        done_once(ring)
        done_once(ring)

    living.do = twice
    living.run()

    operation.refresh_from_db()
    assert operation.state == "replicating"
    assert operation.server_certificates.count() == 3
    assert CertificateAuthority.objects.count() == 2


class Frozen:
    """A hold whose worker stands still until the operation is cancelled, then goes on."""

    def __init__(self, row, meanwhile):
        self.row, self.meanwhile = row, meanwhile

    def check(self):
        self.meanwhile()
        if not claims.renew(self.row, now=clock.now()):
            raise claims.LeaseLost("cancelled meanwhile")


def test_worker_that_wakes_after_the_cancel_leaves_no_key_and_no_future_ca(living, homes):
    operation = living.remint()
    row = claims.claim(living.zone.operations.all(), now=clock.now())

    def cancel():
        living.zone.operations.update(lease_until=clock.now())
        operations.cancel(operation, by=living.alice, now=clock.now())
        living.run()

    with pytest.raises(claims.LeaseLost):
        preparing.prepare(
            row, home=homes["ps1"], hold=Frozen(row, cancel), agent_pyz=b"", now=clock.now()
        )

    assert homes["ps1"].read_file(f"ca/{operation.guid}.key") is None
    assert not CertificateAuthority.objects.filter(state="future").exists()
    assert living.reach("assigned").new_ca.generation == 2


def prepare_and_close(operation):
    try:
        tasks.prepare(operation_id=operation.pk)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_cancel_while_preparing_gives_the_operation_back_at_once(living, homes, monkeypatch):
    operation = living.remint()
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", "content-stored:sleep=1")
    worker = threading.Thread(target=prepare_and_close, args=[operation])
    worker.start()
    deadline = time.monotonic() + 30
    while not homes["ps1"].content_items():
        assert time.monotonic() < deadline, "the worker did not come to the content"
        time.sleep(0.02)
    operations.cancel(operation, by=living.alice, now=clock.now())
    worker.join()

    operation.refresh_from_db()
    assert (operation.state, operation.claim_id) == ("cancelling", None)
    living.run()
    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert homes["ps1"].read_file(f"ca/{operation.guid}.key") is None
