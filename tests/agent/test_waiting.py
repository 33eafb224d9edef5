"""An agent that runs is rung for, over a real connection."""

import threading
import time

from agent.loop import Bell, Loop
from agent.waiting import Waiting


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_agent_that_sleeps_refreshes_when_it_is_asked(make_device, server):
    server.interval = 3600
    device, _ = make_device()
    running = Loop(device, Bell())
    thread = threading.Thread(target=running.run)
    thread.start()
    until(lambda: len(server.requests) == 1)

    server.rung.set()

    until(lambda: len(server.requests) == 2)
    running.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_server_that_does_not_know_the_call_is_left_alone(make_device, server):
    device, _ = make_device()
    server.refusal = (404, {"error": "There is no such call."})
    rings, stopped = [], threading.Event()

    Waiting(device, lambda: rings.append(1), stopped).start()

    stopped.wait(0.3)
    stopped.set()
    assert rings == []
