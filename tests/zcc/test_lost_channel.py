"""What a worker still holds of a lost connection to its broker."""

import logging

import pytest
from kombu import Connection
from kombu.transport import redis

from zcc.processes import lost_channel

QUEUE = "test-lost-channel"


@pytest.fixture
def connection(broker, monkeypatch):
    monkeypatch.setattr(redis.Transport, "Channel", lost_channel.Channel)
    with Connection(broker) as made:
        yield made


@pytest.fixture
def taken(connection):
    """A message that was taken and not acknowledged."""
    queue = connection.SimpleQueue(QUEUE)
    queue.clear()
    queue.put("a task")
    return queue.get(timeout=5)


def test_task_that_ends_after_the_loss_is_a_line_in_the_log(connection, taken, caplog):
    caplog.set_level(logging.INFO, lost_channel.__name__)
    connection.collect()

    taken.ack()

    assert "lost meanwhile" in caplog.text


def test_message_that_cannot_be_given_back_is_a_lost_connection(connection, taken):
    channel = taken.channel
    connection.transport.client = None  # as when the first of two channels cannot be closed

    with pytest.raises(connection.connection_errors):
        channel.close()


def test_connection_that_is_there_acknowledges(taken):
    client, key, tag = taken.channel.client, taken.channel.unacked_key, taken.delivery_tag
    assert client.hexists(key, tag)

    taken.ack()

    assert not client.hexists(key, tag)
