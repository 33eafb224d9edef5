"""`manage.py runzone` with two Primary Servers: real processes on addresses of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.zcc.certificates import write_pem
from tests.zcc.test_tree import is_alive, pid_in, wait_for
from zcc.settings import broker_socket

ROOT = Path(__file__).parents[2]
PROCESSES = ("console", "device_api", "worker", "beat", "listener", "supervisor")
START = 40  # seconds, on a busy machine


def make_server(home: Path, name: str, address: str) -> None:
    """Make as much of a server's home as its processes need to start."""
    folder = home / "servers" / name
    (folder / "security").mkdir(parents=True)
    write_pem(folder / "security" / "server.pem", 1)
    (folder / "server.json").write_text(
        f'{{"name": "{name}", "guid": "{name}-guid", "dns_name": "{name}.test.zone",'
        f' "address": "{address}"}}'
    )


class Zone:
    """A running `manage.py runzone`."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        # Its own broker also where the tests share one: this zone's is killed.
        kept = {name: text for name, text in os.environ.items() if name != "REDIS_URL"}
        self.environment = {**kept, "ZCC_HOME": str(home), "DJANGO_SETTINGS_MODULE": "zcc.settings"}
        self.environment["DATABASE_URL"] = f"sqlite:///{home}/zone.sqlite3"
        command = [sys.executable, "manage.py", "runzone", *arguments]
        self.output = (home / "output").open("w")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=self.output, stderr=self.output
        )

    def text(self) -> str:
        """Return what it has printed so far."""
        return (self.home / "output").read_text()

    def wait_until_up(self) -> None:
        """Wait for the line that is printed last."""
        wait_for(lambda: "Ctrl-C stops everything." in self.text(), seconds=START)

    def pid(self, server: str, process: str) -> int | None:
        """Return the id of a process of a server, or None."""
        return pid_in(self.home / "servers" / server / "run" / f"{process}.pid")

    def pids(self) -> list[int]:
        """Return the ids of all its processes, theirs, and the broker's."""
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if self._owns(folder)]

    def _owns(self, folder: Path) -> bool:
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"ZCC_HOME={self.home}".encode() in words and is_alive(int(folder.name))


@pytest.fixture
def start(tmp_path):
    """Start a zone of two servers; everything it started is gone after the test."""
    zones = []

    def start(*arguments: str) -> Zone:
        zones.append(Zone(tmp_path, *arguments))
        return zones[-1]

    make_server(tmp_path, "ps1", "127.0.0.81")
    make_server(tmp_path, "ps2", "127.0.0.82")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secret_key").write_text("only-for-tests\n")
    (tmp_path / "welcome.json").write_text(
        '{"url": "https://127.0.0.81:7443", "fingerprint": "AB:CD", "admin": "admin",'
        ' "password": "shown-once"}'
    )
    yield start
    for zone in zones:
        zone.process.kill()
        zone.process.wait(10)
        wait_for(lambda zone=zone: zone.pids() == [])
        zone.output.close()


def test_zone_starts_says_hello_once_and_stops_in_order(start, tmp_path):
    zone = start()
    zone.wait_until_up()
    pids = {name: zone.pid("ps2", name) for name in PROCESSES}

    assert all(map(is_alive, pids.values()))
    assert "password shown-once" in zone.text()
    assert "shown-once" not in (tmp_path / "welcome.json").read_text()
    assert (tmp_path / "welcome.json").stat().st_mode & 0o077 == 0

    zone.process.send_signal(signal.SIGINT)
    assert zone.process.wait(30) == 0
    assert zone.pids() == []
    assert (tmp_path / "logs" / "ps1.console.log").exists()


def test_each_process_that_is_killed_comes_back(start):
    zone = start()
    zone.wait_until_up()
    before = {name: zone.pid("ps1", name) for name in PROCESSES[:-1]}

    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    os.kill(pid_in(zone.home / "run" / "valkey.pid"), signal.SIGKILL)

    for name, pid in before.items():
        wait_for(lambda name=name, pid=pid: zone.pid("ps1", name) not in (None, pid), seconds=20)
    wait_for(lambda: is_alive(pid_in(zone.home / "run" / "valkey.pid") or 0))


def test_kill_9_of_the_supervisor_leaves_nobody_behind(start):
    zone = start()
    zone.wait_until_up()
    assert len(zone.pids()) > 10

    zone.process.kill()

    wait_for(lambda: zone.pids() == [], seconds=15)


def test_second_supervisor_of_a_server_is_refused(start):
    first = start()
    first.wait_until_up()

    second = subprocess.run(
        [sys.executable, "manage.py", "runzone", "--server", "ps2"],
        cwd=ROOT,
        env=first.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert second.returncode == 1
    assert "ps2 is running already." in second.stderr


def test_without_a_server_it_says_what_to_do(tmp_path):
    zone = Zone(tmp_path)

    assert zone.process.wait(60) == 1
    assert "Run `manage.py setup_zone` first." in zone.text()


def test_killed_supervisor_of_a_server_comes_back_with_all_its_processes(start):
    zone = start()
    zone.wait_until_up()
    before = {name: zone.pid("ps1", name) for name in PROCESSES}

    os.kill(before["supervisor"], signal.SIGKILL)

    for name, pid in before.items():
        wait_for(lambda name=name, pid=pid: zone.pid("ps1", name) not in (None, pid), seconds=20)
    wait_for(lambda: answers("127.0.0.81", 7443) and answers("127.0.0.81", 7444), seconds=20)


def test_ticks_are_sent_and_taken_again_after_the_broker_lost_everything(start, tmp_path):
    zone = start()
    zone.wait_until_up()
    others = {name: zone.pid("ps1", name) for name in ("worker", "beat")}

    shutil.rmtree(tmp_path / "valkey")
    os.kill(pid_in(tmp_path / "run" / "valkey.pid"), signal.SIGKILL)

    broker = redis.Redis(unix_socket_path=str(broker_socket(tmp_path)))
    wait_for(lambda: ticks_sent(broker) >= 3, seconds=20)
    wait_for(lambda: broker.llen("zcc:zone") == 0)
    assert {name: zone.pid("ps1", name) for name in others} == others


def answers(address: str, port: int) -> bool:
    """Say whether somebody listens there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def ticks_sent(broker: redis.Redis) -> int:
    """Return how often something was put into a queue since the broker started."""
    try:
        statistics = broker.info("commandstats")
    except redis.ConnectionError:
        return 0
    return sum(statistics.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("lpush", "rpush"))


def test_port_that_another_program_has_is_named(start):
    with socket.create_server(("127.0.0.82", 7444)):
        zone = start()
        zone.process.wait(60)

    assert zone.process.returncode == 1
    assert "Cannot listen on 127.0.0.82:7444: Address already in use." in zone.text()
