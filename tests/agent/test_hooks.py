"""Scripts that run after the trust or the certificate of a device has changed."""

import os

import pytest

from agent import hooks
from tests.agent.server import ContentServer
from tests.agent.test_device import assign, package, turns

__all__ = ["assign"]


@pytest.fixture
def add(home):
    """Put a script into the home's hooks."""
    folder = home.path / hooks.FOLDER
    folder.mkdir()

    def add(name, text="#!/bin/sh\necho $ZONE_EVENT $ZONE_TRUST\n", mode=0o700):
        path = folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    return add


def said(home, event="trust"):
    lines = []
    hooks.run(home.path, event, lines.append)
    return lines


def test_scripts_run_by_name_and_are_told_what_happened(home, add):
    add("20-b")
    add("10-a")

    assert said(home) == [
        f"Hook 10-a: done (trust {home.path}/trust.pem).",
        f"Hook 20-b: done (trust {home.path}/trust.pem).",
    ]


def test_one_that_fails_does_not_keep_the_others(home, add):
    add("10-a", "#!/bin/sh\necho no; exit 3\n")
    add("20-b", "#!/bin/sh\n")

    assert said(home) == ["Hook 10-a: failed with exit code 3 (no).", "Hook 20-b: done."]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(0o720, "others can write it"), (0o702, "others can write it"), (0o600, "not executable")],
)
def test_what_others_could_have_written_is_not_run(home, add, mode, reason):
    add("10-a", mode=mode)

    (line,) = said(home)
    assert "was not run" in line
    assert reason in line


def test_link_and_folder_are_not_run(home, add):
    os.symlink(add("10-a"), home.path / hooks.FOLDER / "20-b")
    (home.path / hooks.FOLDER / "30-c").mkdir()

    assert [line.partition(":")[2] for line in said(home)[1:]] == [" it is no regular file."] * 2


def test_script_without_interpreter_is_said(home, add):
    add("10-a", "#!/no/such/interpreter\n")

    assert said(home) == ["Hook 10-a: could not be run (No such file or directory)."]


@pytest.fixture
def run_update(make_device, assign, zone):
    """Let a device with a script that says what happened take in the new CA; return its log."""
    device, lines = make_device()
    folder = device.home.path / hooks.FOLDER
    folder.mkdir()
    (folder / "reload").write_text("#!/bin/sh\necho $ZONE_EVENT `grep -c BEGIN $ZONE_TRUST`\n")
    (folder / "reload").chmod(0o700)
    content = package(zone.old.pem, zone.new.pem)
    with ContentServer() as source:
        source.items[assign([source.url], content=content)] = content
        turns(device)
    return device, lines


def hooked(lines):
    return [line for line in lines if "Hook" in line]


def test_device_runs_them_when_it_trusts_the_new_ca(run_update):
    assert hooked(run_update[1]) == ["Hook reload: done (trust 2)."]


def test_device_runs_them_once_more_after_the_activation(run_update, server, zone):
    device, lines = run_update
    activated = zone.update(armed=True, activated=True)
    server.show(zone.new, zone.link)
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem], update=activated)

    turns(device, 4)

    assert server.steps()[-1] == "completed"
    assert hooked(lines)[1:] == ["Hook reload: done (activation 2)."]


def test_late_device_runs_them_when_the_update_is_gone(run_update, server, zone):
    device, lines = run_update
    server.extra = {}
    server.show(zone.new)
    server.publish(epoch=3, anchors=[zone.new.pem])

    turns(device, 4)

    assert hooked(lines)[1:] == [
        "Hook reload: done (trust 1).",
        "Hook reload: done (activation 1).",
    ]


def test_cancelled_update_has_no_activation(run_update, server, zone):
    device, lines = run_update
    server.extra = {}
    server.publish(epoch=3, anchors=[zone.old.pem])

    turns(device, 4)

    assert hooked(lines)[1:] == ["Hook reload: done (trust 1)."]
