"""Each method of a home is killed at each of its writes; then it must be whole, and go on."""

import hashlib
import io
import itertools
import resource
import shutil
import signal
import ssl
from types import SimpleNamespace

import pytest

from agent.home import Home
from tests.agent.killing import in_child, was_killed

PLACES = ["file.created", "file.written", "file.renamed", "file.removed"]


@pytest.fixture
def prepared(home, zone, install, stage):
    """A home in which `operation` is staged, and the sequence that a server goes through."""
    install(home)
    stage(home)
    home.arm(zone.operation, zone.envelope(update=zone.update(armed=True)))
    return home


def killed_everywhere(home, tmp_path, action):
    """Yield a copy of `home` for each place at which `action` can be killed, killed there."""
    for place in PLACES:
        for nth in itertools.count(1):
            copy = Home(tmp_path / f"{place}-{nth}")
            shutil.copytree(home.path, copy.path)
            if not was_killed(lambda: action(copy), f"{place}:kill:{nth}"):  # noqa: B023
                break
            yield copy


def assert_pair_matches(home):
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(home.server_pem)


def state_of(home):
    files = (path for path in home.path.rglob("*") if path.is_file())
    return {str(path.relative_to(home.path)): path.read_bytes() for path in files}


METHODS = {
    "activate": lambda home, zone: home.activate(zone.operation),
    "clean": lambda home, zone: home.clean(zone.operation),
    "arm": lambda home, zone: home.arm(zone.operation, zone.envelope(epoch=2)),
    "future_key": lambda home, zone: home.future_key("another", lambda: b"key"),
    "newer_key": lambda home, zone: home.future_key(zone.operation, lambda: b"key", request=1),
    "reserve": lambda home, zone: home.reserve("another"),
    "set_anchors": lambda home, zone: home.set_anchors([zone.old.pem, zone.new.pem]),
    "retire": lambda home, zone: home.retire(),
    "roll_back": lambda home, zone: home.roll_back(zone.operation, link_pem=zone.bridge),
}
AFTER_THE_SWITCH = ("retire", "roll_back")


@pytest.mark.parametrize("method", METHODS)
def test_method_killed_at_any_write_can_be_repeated(method, prepared, zone, tmp_path):
    if method in AFTER_THE_SWITCH:
        prepared.activate(zone.operation)
    envelope = zone.envelope(epoch=2)
    zone = SimpleNamespace(**vars(zone), operation=zone.operation, envelope=lambda **_: envelope)
    whole = Home(tmp_path / "whole")
    shutil.copytree(prepared.path, whole.path)
    METHODS[method](whole, zone)

    killed = list(killed_everywhere(prepared, tmp_path, lambda home: METHODS[method](home, zone)))

    assert len(killed) >= 3
    for home in killed:
        assert_pair_matches(home)
        home.repair()
        METHODS[method](home, zone)
        assert state_of(home) == state_of(whole)


def test_killed_while_content_arrives_leaves_no_half_item(home):
    sha256 = hashlib.sha256(b"content").hexdigest()

    def add():
        home.add_content(sha256, io.BytesIO(b"content"))

    assert was_killed(add, "content.written:kill")
    assert home.content_items() == []
    home.repair()
    assert list((home.path / "content-repo").iterdir()) == []


def test_full_disk_keeps_the_old_files(prepared, zone):
    """Files may not grow beyond 1 KiB: every write of a change fails as on a full disk."""
    before = state_of(prepared)

    def activate_without_space():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
        with pytest.raises(OSError, match="File too large"):
            prepared.activate(zone.operation)

    assert in_child(activate_without_space) == 0
    assert state_of(prepared) == before
    assert prepared.activate(zone.operation) is True
