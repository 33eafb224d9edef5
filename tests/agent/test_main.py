"""The command line and the zipapp, as processes, by every Python of a device that is here."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from agent import enrol, package, trust, whereabouts
from agent.__main__ import main
from agent.home import Home
from tests.agent.server import fingerprint_shown
from tests.agent.test_serve import wait_for
from tests.ports import free_port
from zcc.ground import ports

NAMES = ["python3.9", "python3.10", "python3.12", "python3.13"]


def works(python):
    """Whether this is an interpreter, and not something that only knows where one might be."""
    path = shutil.which(python)
    if path is None:
        return False
    return subprocess.run([path, "-c", ""], capture_output=True).returncode == 0


PYTHONS = [sys.executable, *(name for name in NAMES if works(name))]


def enrolment(home, zone_server, zone, **changes):
    options = {"server": zone_server.url, "key": "KEY", "fingerprint": zone.old.sha256, **changes}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return ["enrol", f"--home={home}", "--name=ws", *arguments]


def run(python, *arguments):
    return subprocess.run(
        [python, *map(str, arguments)], capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_zipapp_enrols_and_refreshes(python, server, zone, tmp_path):
    app, home = package.build(tmp_path / "agent.pyz"), tmp_path / "ws"

    joined = run(python, app, *enrolment(home, server, zone))
    refreshed = run(python, app, "refresh", "--home", home)
    status = run(python, app, "status", "--home", home)

    assert (joined.stderr, joined.returncode) == ("", 0)
    assert (refreshed.stderr, refreshed.returncode) == ("", 0)
    assert f"Trusts   {zone.old.sha256}\n" in status.stdout


@pytest.mark.parametrize("python", PYTHONS)
def test_listener_swaps_its_certificate(python, home, install):
    install(home)
    port = free_port()
    command = [python, "-m", "agent.serve", "--home", home.path, "--address", "127.0.0.1"]
    process = subprocess.Popen([*command, "--tls", str(port)])
    try:
        wait_for(port)
        for _ in range(3):
            install(home)
            assert fingerprint_shown("127.0.0.1", port) == home.live().leaf_sha256
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_zipapp_is_the_same_each_time():
    assert package.contents() == package.contents()


def test_zipapp_can_take_the_role_authentication_where_cryptography_is_installed(tmp_path):
    app = package.build(tmp_path / "agent.pyz")
    script = (
        f"import sys; sys.path[:0] = [{str(app)!r}]\n"
        "from agent import roles, satellite\n"
        f"assert satellite.__file__.startswith({str(app)!r}), satellite.__file__\n"
        f"assert satellite.csr.__file__.startswith({str(app)!r}), satellite.csr.__file__\n"
        "print(roles.can_authenticate())"
    )

    assert run(sys.executable, "-c", script).stdout == "True\n"


@pytest.mark.parametrize("python", PYTHONS)
def test_zipapp_runs_without_cryptography(python, tmp_path):
    app = package.build(tmp_path / "agent.pyz")
    (tmp_path / "cryptography.py").write_text("raise ImportError\n")
    script = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(app)!r}]\nfrom agent import roles\n"
    )

    assert run(python, "-c", f"{script}print(roles.can_authenticate())").stdout == "False\n"


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"key": "wrong"}, 5, "This registration key is not valid.\n"),
        ({"fingerprint": "ab"}, 1, "The fingerprint must be a SHA-256: 64 hex digits,"),
        ({"fingerprint": "00" * 32}, 4, "Nothing was sent to it.\n"),
        ({"server": "127.0.0.1"}, 3, "is not an address like https://127.0.0.1:7444.\n"),
    ],
)
def test_enrolment_that_fails_says_why(server, zone, tmp_path, capsys, changes, code, sentence):
    assert main(enrolment(tmp_path / "ws", server, zone, **changes)) == code

    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_port_of_the_console_is_not_the_one_to_enrol_at(server, zone, tmp_path, capsys):
    server.get = lambda path: (404, b"<h1>Not Found</h1>")

    assert main(enrolment(tmp_path / "ws", server, zone)) == 5
    assert capsys.readouterr().err == (
        f"{server.url} is not for devices: their port is 7444 on every server. "
        "Enrol with --server https://127.0.0.1:7444.\n"
    )
    assert ports.DEVICE_API == enrol.DEVICE_PORT


def test_status_of_a_device_whose_trust_was_emptied(server, zone, tmp_path, capsys):
    main(enrolment(tmp_path / "ws", server, zone))
    Home(tmp_path / "ws").write_file(trust.FILE, b"")

    assert main(["status", f"--home={tmp_path / 'ws'}"]) == 0
    assert "Trusts   none\n" in capsys.readouterr().out


def test_server_that_is_not_there(server, zone, tmp_path, capsys):
    nowhere = f"https://127.0.0.1:{free_port()}"

    assert main(enrolment(tmp_path / "ws", server, zone, server=nowhere)) == 3
    assert capsys.readouterr().err == f"{nowhere} did not answer (Connection refused).\n"


@pytest.mark.parametrize("command", ["run", "refresh", "status"])
def test_folder_without_a_device(command, tmp_path, capsys):
    assert main([command, f"--home={tmp_path}"]) == 6
    assert capsys.readouterr().err == f"There is no enrolled device in {tmp_path}.\n"


def test_running_agent_refreshes_when_asked_and_ends_on_sigterm(server, zone, tmp_path):
    home = tmp_path / "ws"
    assert main(enrolment(home, server, zone)) == 0
    server.interval = 3600
    process = subprocess.Popen([sys.executable, "-m", "agent", "run", "--home", home])
    try:
        wait_until(lambda: len(server.requests) == 1)
        assert main(["refresh", f"--home={home}"]) == 0
        wait_until(lambda: len(server.requests) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_device_names_the_address_it_reaches_the_server_from():
    assert whereabouts.own_address("https://127.0.0.1:7444") == "127.0.0.1"
    assert whereabouts.own_address("https://[::1]:7444") == "::1"
    assert whereabouts.own_address("https://no-such-host.invalid:7444") == "127.0.0.1"
