"""
The supervisor of the zone on this host: the broker, one supervisor for each Primary Server, and in
the demo the agents.

Django is loaded once, here, and everything else is forked from it, so that the memory is shared.
"""

import fcntl
import gc
import importlib
import json
import logging
import os
import resource
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import TextIO

from django.conf import settings

from zcc.ground import here, ports, whereabouts
from zcc.processes import broker, logs, server, tree
from zcc.processes.tree import Child, Tree

logger = logging.getLogger(__name__)

# Loaded before the first fork, so that the processes share one copy of it.
PRELOADED = (
    "celery.apps.worker",
    "celery.apps.beat",
    "celery.concurrency.thread",
    "kombu.transport.redis",
    "gunicorn.arbiter",
    "gunicorn.workers.gthread",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.lifespan.on",
    "django.core.handlers.wsgi",
    "zcc.urls",
    "zcc.device_api",
    "certificates.tasks",
    "systemupdates.tasks",
    "devices.tasks",
)
MOBILE = "mobile.json"  # in the folder of a simulated mobile device
OPEN_FILES = 65536  # each waiting device is one; systems often start with 1,024
START_TIMEOUT = 60.0  # seconds until the supervisor says that something does not answer
PORTS = (
    ports.CONSOLE,
    ports.DEVICE_API,
    ports.SETUP,
    ports.CONTENT,
    ports.CANARY,
    ports.RESCUE,
)


class CannotRun(Exception):
    """The zone cannot be started. The text says why and what to do."""


def run_zone(*, names: Sequence[str], demo: bool, say: Callable[[str], None]) -> None:
    """Run the servers `names` of this host until told to stop, and leave no process behind."""
    if not names:
        raise CannotRun("No server is set up here. Run `manage.py setup_zone` first.")
    with _lock(names):
        _check_ports(names)
        _set_limits()
        _preload()
        zone = Tree([*map(_server, names), *_broker()])
        zone.stop_on_signals()
        greeter = Greeter(names, zone, demo=demo, say=say)
        try:
            zone.watch(greeter.each_second)
        finally:
            say("Stopping.")
            zone.stop()


class Greeter:
    """Waits, without blocking, for the servers to answer; then starts the agents and says hello."""

    def __init__(
        self, names: Sequence[str], zone: Tree, *, demo: bool, say: Callable[[str], None]
    ) -> None:
        self.names = names
        self.waiting = [(name, port) for name in names for port in PORTS]
        self.zone, self.demo, self.say = zone, demo, say
        self.started_at = time.monotonic()
        self.is_done = False

    def each_second(self) -> None:
        """Do what is due; called each second by the zone's supervisor."""
        for child in self.zone.children:
            logs.rotate(child.log)
        if not self.is_done:
            self._wait()

    def _wait(self) -> None:
        self.waiting = [(name, port) for name, port in self.waiting if not answers(name, port)]
        is_late = time.monotonic() - self.started_at > START_TIMEOUT
        if self.waiting and not is_late:
            return
        self.is_done = True
        if self.demo:
            self.zone.children.extend(_agents())
        for name, port in self.waiting:
            self.say(f"{name} does not answer on port {port}. See {here.zcc_home() / 'logs'}.")
        for line in (*moved(self.names), *welcome(self.names[0])):
            self.say(line)


def answers(name: str, port: int) -> bool:
    """Say whether the server `name` answers on `port`; the console only counts when it is well."""
    address = whereabouts.address(here.identity(name))
    try:
        with socket.create_connection((address, port), timeout=1) as plain:
            return port != ports.CONSOLE or _is_well(plain, address)
    except OSError:
        return False


def moved(names: Sequence[str]) -> Iterator[str]:
    """Yield which servers do not have their address any more, and what to do about it."""
    for identity in map(here.identity, names):
        address = whereabouts.address(identity)
        if address != identity.address:
            yield (
                f"{identity.name} is at {address}: this host no longer has {identity.address}. "
                f"Open {ports.console_url(address)} and choose Use what it reports on Certificates."
            )


def welcome(name: str) -> Iterator[str]:
    """
    Yield where to go, to the server `name`, and as whom.

    The password is said only once, after which it is forgotten.
    """
    path = here.zcc_home() / "welcome.json"
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError:
        return
    password = facts.pop("password", None)
    if password is not None:
        temporary = path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
        temporary.replace(path)
    yield ""
    yield f"Console:        {ports.console_url(whereabouts.address(here.identity(name)))}"
    yield f"CA, SHA-256:    {facts.get('fingerprint', '')}"
    yield f"Administrator:  {facts.get('admin', '')}" + (f", password {password}" * bool(password))
    yield "Ctrl-C stops everything."


def _is_well(plain: socket.socket, address: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it asks whether somebody is there, not who
    plain.settimeout(3)
    request = f"GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    with context.wrap_socket(plain) as connection:
        connection.sendall(request.encode())
        return connection.recv(15).startswith(b"HTTP/1.1 200")


def _set_limits() -> None:
    os.umask(0o077)  # what the processes make is for this user only: database, logs, sockets
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _preload() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector would otherwise touch, and so copy, every page


def _check_ports(names: Sequence[str]) -> None:
    """Refuse to start where another program answers, before it is taken for one of ours."""
    addresses = (whereabouts.address(here.identity(name)) for name in names)
    for address, port in product(addresses, PORTS):
        try:
            socket.create_server((address, port)).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CannotRun(f"Cannot listen on {address}:{port}: {reason}.") from error


@contextmanager
def _lock(names: Sequence[str]) -> Iterator[None]:
    """Hold each server's lock: two supervisors of one server would fight over its ports."""
    with ExitStack() as stack:
        for name in names:
            path = here.zcc_home() / "servers" / name / "run" / "supervisor.lock"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _wait_for(stack.enter_context(path.open("a")), name)
        yield


def _wait_for(lock: TextIO, name: str) -> None:
    deadline = time.monotonic() + 3  # one that was killed takes a moment to go, with its children
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise CannotRun(f"{name} is running already.") from error
        time.sleep(0.1)


def _server(name: str) -> Child:
    return Child(
        name=name,
        run=partial(server.supervise, name),
        log=here.zcc_home() / "logs" / f"{name}.supervisor.log",
        pid_file=here.zcc_home() / "servers" / name / "run" / "supervisor.pid",
        rank=1,
        patience=30.0,
    )


def _broker() -> list[Child]:
    if not settings.BROKER_IS_EMBEDDED or broker.answers():
        return []
    broker.command()  # raises NoBroker here, where somebody reads it
    child = Child(
        name="valkey",
        run=broker.run,
        log=here.zcc_home() / "logs" / "valkey.log",
        pid_file=here.zcc_home() / "run" / "valkey.pid",
        rank=2,  # last: whoever stops before it may still want to send something
    )
    return [child]


def _agents() -> list[Child]:
    return [_agent(home) for home in sorted(here.zcc_home().glob("devices/*")) if home.is_dir()]


def _agent(home: Path) -> Child:
    words = ["mobile"] if (home / MOBILE).exists() else []
    return Child(
        name=home.name,
        run=tree.execute([sys.executable, "-m", "agent", *words, "run", "--home", home]),
        log=here.zcc_home() / "logs" / f"{home.name}.agent.log",
        pid_file=home / "run" / "agent.pid",
    )
