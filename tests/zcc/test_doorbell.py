import json
import socket
import time
from contextlib import contextmanager

import pytest
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu import pools

from zcc.ground import doorbell

TASK = "tests.look_at_row"


@contextmanager
def broker_at(url):
    """Let the doorbell ring at `url`."""
    configured = current_app.conf.broker_url
    current_app.conf.update(broker_url=url, broker_write_url=url)
    _forget()
    try:
        yield
    finally:
        current_app.conf.update(broker_url=configured, broker_write_url=configured)
        _forget()


def _forget():
    doorbell._connection.cache_clear()
    doorbell._silent_until = 0.0
    pools.reset()


@pytest.fixture
def queue(broker):
    """A queue at the real broker, and what has been sent to it so far."""
    with broker_at(broker), current_app.connection_for_write() as connection:
        waiting = connection.SimpleQueue("tests.doorbell")
        waiting.clear()
        yield waiting
        waiting.close()


@pytest.fixture
def frozen_broker():
    """A broker that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.django_db(transaction=True)
def test_ring_sends_the_ids_after_the_commit(queue):
    with transaction.atomic():
        doorbell.ring(TASK, queue="tests.doorbell", step_id=7)
        assert queue.clear() == 0  # messages that were waiting

    message = queue.get(timeout=2)
    message.ack()
    assert message.headers["task"] == TASK
    assert message.payload[:2] == [[], {"step_id": 7}]


@pytest.mark.django_db(transaction=True)
def test_ring_is_silent_after_a_rollback(queue):
    with pytest.raises(RuntimeError), transaction.atomic():
        doorbell.ring(TASK, queue="tests.doorbell", step_id=7)
        raise RuntimeError

    assert queue.clear() == 0  # messages that were waiting


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/valkey.sock"])
def test_dead_broker_is_logged_and_costs_no_time(url, caplog):
    with broker_at(url):
        started_at = time.monotonic()
        doorbell.ring(TASK, queue="zone", step_id=7)
        elapsed = time.monotonic() - started_at

    assert elapsed < 5  # kombu alone tries for longer
    assert "The broker does not answer" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_frozen_broker_costs_less_than_a_second_for_many_rings(frozen_broker):
    with broker_at(frozen_broker):
        started_at = time.monotonic()
        for step_id in range(50):
            doorbell.ring(TASK, queue="zone", step_id=step_id)
        elapsed = time.monotonic() - started_at

    assert elapsed < 1


def test_no_message_waits_for_a_time_of_its_own():
    schedule = settings.CELERY_BEAT_SCHEDULE["tick"]

    assert schedule["options"] == {"queue": "zone", "expires": 600}
    assert "eta" not in json.dumps(settings.CELERY_BEAT_SCHEDULE)
