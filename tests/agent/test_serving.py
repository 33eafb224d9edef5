"""Satellite roles whose ports another program has: the agent goes on, and takes them up later."""

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from agent import serving
from agent.device import Device
from agent.loop import Bell, Loop
from tests.agent.server import fingerprint_shown
from tests.agent.test_main import wait_until
from tests.agent.test_serve import get
from tests.ports import free_port

AGAIN = 0.05  # seconds
BOTH = ["content", "authentication"]


@pytest.fixture
def taken():
    """A socket of another program, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other


@pytest.fixture
def numbers(taken):
    """Free ports, but for the one of content."""
    return {"content": port_of(taken)} | {n: free_port() for n in ("tls", "canary", "rescue")}


def port_of(other):
    return other.getsockname()[1]


@contextmanager
def served(device, numbers, wake=lambda: None, address="127.0.0.1"):
    lines = []
    with serving.serving(
        device, numbers, address=address, log=lines.append, wake=wake, again=AGAIN
    ) as listener:
        yield listener, lines


def is_refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_port_that_is_taken_is_reported_with_the_reason(make_device, server, numbers):
    device, _ = make_device(roles=["content"])
    server.extra = {"roles": ["content"], "content": []}

    with served(device, numbers):
        Loop(device, Bell()).turn()

    said = f"Port {numbers['content']} at 127.0.0.1: Address already in use."
    assert server.requests[-1]["roles"] == []
    assert server.requests[-1]["role_problem"] == f"{said} The agent tries again by itself."
    assert not device.begins_anew


def test_the_other_roles_and_ports_are_served(make_device, server, numbers, install):
    device, _ = make_device(roles=BOTH)
    install(device.home)

    with served(device, numbers):
        shown = fingerprint_shown("127.0.0.1", numbers["tls"])
        Loop(device, Bell()).turn()

    assert shown == device.home.live().leaf_sha256
    assert server.requests[-1]["roles"] == ["authentication"]


def test_each_port_of_an_authentication_satellite_is_named(make_device, server, numbers, taken):
    device, _ = make_device(roles=["authentication"])
    with socket.create_server(("127.0.0.1", 0)) as another:
        numbers |= {"tls": port_of(taken), "rescue": port_of(another)}
        with served(device, numbers):
            Loop(device, Bell()).turn()

    problem = server.requests[-1]["role_problem"]
    assert server.requests[-1]["roles"] == []
    assert problem.count("Address already in use.") == 2
    assert f"Port {numbers['tls']} " in problem
    assert f"Port {numbers['rescue']} " in problem


def test_port_that_becomes_free_is_served_and_reported(make_device, server, numbers, taken):
    device, _ = make_device(roles=["content"])
    woken = threading.Event()

    with served(device, numbers, wake=woken.set) as (_, lines):
        Loop(device, Bell()).turn()
        assert not device.has_news()
        taken.close()
        assert woken.wait(10)
        assert device.has_news()
        Loop(device, Bell()).turn()
        status, _, _ = get(numbers["content"], "/content/none")

    assert status == 404
    assert server.requests[-1]["roles"] == ["content"]
    assert server.requests[-1]["role_problem"] == ""
    assert len(lines) == 2  # when it failed, and when it was had: not each try


def test_nothing_is_tried_any_more_once_it_has_stopped(make_device, numbers, taken):
    device, _ = make_device(roles=["content"])

    with served(device, numbers):
        pass
    taken.close()
    time.sleep(4 * AGAIN)

    assert is_refused(numbers["content"])


def test_stopping_closes_what_was_had_later(make_device, numbers, taken):
    device, _ = make_device(roles=["content"])
    woken = threading.Event()

    with served(device, numbers, wake=woken.set):
        taken.close()
        assert woken.wait(10)

    assert is_refused(numbers["content"])


@pytest.mark.parametrize(
    ("address", "reason"),
    [("192.0.2.1", "Not an address of this device."), ("no-such-host.invalid", "no-such-host")],
)
def test_address_that_is_not_here_is_reported(make_device, numbers, address, reason):
    device, _ = make_device(roles=["content"])

    with served(device, numbers, address=address) as (listener, _):
        assert reason in listener.unserved()["content"]


@contextmanager
def agent(home, content_port):
    """Run the agent as a process."""
    command = [sys.executable, "-m", "agent", "run", "--home", str(home.path)]
    process = subprocess.Popen(
        [*command, "--address=127.0.0.1", f"--content-port={content_port}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def says(server, roles, problem):
    """Whether the last report was of these roles, and of a problem or none."""
    if not server.requests:
        return False
    last = server.requests[-1]
    return (last["roles"], problem in last["role_problem"]) == (roles, True)


def test_agent_lives_on_until_the_port_is_free(enrolled, server, taken):
    home, port = enrolled(), port_of(taken)
    server.extra, server.interval = {"roles": ["content"], "content": []}, 3600

    with agent(home, port) as process:
        wait_until(lambda: says(server, [], "Address already in use"))
        taken.close()
        wait_until(lambda: says(server, ["content"], ""))
        assert get(port, "/content/none")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_agent_that_starts_with_the_port_taken_lets_go_of_a_role_taken_back(
    enrolled, server, taken
):
    home, port = enrolled(roles=["content"]), port_of(taken)
    server.extra, server.interval = {"roles": ["content"], "content": []}, 1

    with agent(home, port) as process:
        wait_until(lambda: says(server, [], "Address already in use"))
        server.extra = {"roles": []}
        wait_until(lambda: says(server, [], "") and not server.requests[-1]["role_problem"])
        taken.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

    assert Device(home, log=print, wake=lambda: None).identity.roles == []
