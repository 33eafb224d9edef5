"""The Certificate Updater Tool, run as the file that a device downloads."""

import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from agent import package, trust, updater
from agent.manifest import format_time
from agent.state import Identity, State
from certificates import updater_tool
from tests.agent.zone import NOW, Authority
from tests.ports import free_port

STRANGE_KEY = ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def crt(tmp_path):
    """Make the tool from an envelope, run it on a home, and return its exit code and words."""

    def crt(envelope, home, *options, python=sys.executable, prefix=(), stdin="closed", faults=""):
        path = tmp_path / "crt-2026-11-25.pyz"
        path.write_bytes(updater_tool.contents(envelope.decode()))
        words = [*prefix, python, path, "--home", home.path, *options]
        environment = {name: text for name, text in os.environ.items() if "PYTHON" not in name}
        environment["ZCC_FAULTS"] = faults
        read, write = os.pipe()
        if stdin == "closed":
            os.close(write)
        ended = subprocess.run(
            words,
            cwd=tmp_path,
            env=environment,
            stdin=read,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ended.returncode, ended.stdout + ended.stderr

    return crt


def trusted(home):
    return set(trust.fingerprints(trust.current(home)))


@pytest.fixture
def stranded(enrolled, server, zone):
    """A device that trusts the old CA alone, while the server shows the new one without a link."""
    home = enrolled()
    server.show(zone.new)
    server.publish(epoch=2, anchors=[zone.old.pem, zone.new.pem])
    return home


def test_stranded_device_is_back_in_the_zone_after_one_command(crt, stranded, server, zone):
    code, said = crt(zone.tool(servers=[server.url]), stranded)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})
    assert f"Added the CA {zone.new.sha256}." in said
    assert "it is back in the zone" in said
    assert server.requests[-1]["trust"] == sorted([zone.old.sha256, zone.new.sha256])


def test_it_works_with_no_server_reachable(crt, stranded, zone):
    nowhere = f"https://127.0.0.1:{free_port()}"

    code, said = crt(zone.tool(servers=[nowhere]), stranded)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})
    assert "No server answered. The agent goes on by itself" in said


def test_a_second_run_changes_nothing(crt, stranded, server, zone):
    crt(zone.tool(servers=[server.url]), stranded)
    before = trust.current(stranded)

    code, said = crt(zone.tool(servers=[server.url]), stranded)

    assert (code, trust.current(stranded)) == (0, before)
    assert "The new CA was trusted already, through the trust manifest, since 2" in said


def test_a_device_whose_trust_was_emptied_gets_it_back(crt, stranded, server, zone):
    stranded.write_file(trust.FILE, b"")

    code, _ = crt(zone.tool(servers=[server.url]), stranded)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})


@pytest.mark.parametrize("damage", [b"-----BEGIN CERTIFICATE-----\nx\n", b"\xff\x00"])
def test_damaged_trust_is_replaced(crt, stranded, zone, damage):
    stranded.write_file(trust.FILE, damage)

    crt(zone.tool(), stranded)

    assert trusted(stranded) == {zone.old.sha256, zone.new.sha256}


def test_damaged_memory_is_no_obstacle(crt, stranded, zone):
    stranded.write_secret("state.json", b"{}")

    crt(zone.tool(), stranded)

    assert trusted(stranded) == {zone.old.sha256, zone.new.sha256}


REFUSALS = {
    "another key": (lambda zone: zone.tool(key=STRANGE_KEY), [], "not made by the zone"),
    "another zone": (lambda zone: zone.tool(zone="other"), [], "made by another zone"),
    "another fingerprint": (
        lambda zone: zone.tool(),
        ["--ca-sha256", "ab" * 32],
        "not the one with that",
    ),
    "no fingerprint": (lambda zone: zone.tool(), ["--ca-sha256", "abc"], "must be a SHA-256"),
    "a trust manifest": (lambda zone: zone.envelope(epoch=9), [], "not made by the zone"),
    "cut off": (lambda zone: zone.tool()[:-30], [], "not made by the zone"),
    "without its CA": (
        lambda zone: zone.tool(anchors=[zone.old.pem.decode()]),
        [],
        "not made by the zone",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_does_not_prove_itself_changes_nothing(crt, stranded, zone, what):
    make, options, sentence = REFUSALS[what]
    before = trust.current(stranded)

    code, said = crt(make(zone), stranded, *options)

    assert (code, trust.current(stranded)) == (1, before)
    assert sentence in said
    assert "Nothing has changed." in said


def test_a_fingerprint_proves_that_one_ca_and_nothing_else(crt, stranded, zone):
    other = Authority.make("OTHER")
    anchors = [other.pem.decode(), zone.new.pem.decode()]
    forged = zone.tool(key=STRANGE_KEY, anchors=anchors)

    code, _ = crt(forged, stranded, "--ca-sha256", zone.new.sha256.upper())

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})


def test_newer_trust_is_not_taken_back_by_an_old_tool(crt, stranded, server, zone):
    state = State.load(stranded)
    state.epoch, state.manifest = 5, zone.envelope(epoch=5).decode()
    state.save(stranded)

    code, said = crt(zone.tool(epoch=4), stranded)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256})
    assert "is not in force any more" in said
    assert "trusted already" not in said


def test_check_only_says(crt, stranded, zone):
    code, said = crt(zone.tool(), stranded, "--check")

    assert (code, trusted(stranded)) == (0, {zone.old.sha256})
    assert f"It brings the CA {zone.new.sha256}." in said


@pytest.mark.parametrize("by_fingerprint", [False, True])
def test_folder_without_a_device_is_said(crt, home, zone, by_fingerprint):
    code, said = crt(zone.tool(), home, *(["--ca-sha256", zone.new.sha256] * by_fingerprint))

    assert (code, list(home.path.glob("security/trust-store/*"))) == (1, [])
    assert "There is no device or server of a zone in" in said


def test_device_that_has_lost_the_zones_key_is_to_be_enrolled_again(crt, stranded, server, zone):
    identity = replace(Identity.load(stranded), update_key=b64encode(b"k" * 32).decode())
    identity.save(stranded)
    tool = zone.tool(servers=[server.url])

    _, refused = crt(tool, stranded)
    _, followed = crt(tool, stranded, "--ca-sha256", zone.new.sha256)

    assert "remove its folder and enrol it again" in refused
    assert "remove its folder and enrol it again" in followed
    assert f"Added the CA {zone.new.sha256}." in followed
    assert "Nothing has changed" not in followed


# On a server


@pytest.fixture
def server_home(home, install, stage, zone):
    install(home)
    home.write_file("server.json", b"{}")
    home.write_file("security/update-key.pub", zone.public_key)
    home.set_anchors([zone.old.pem])
    stage(home)
    return home


def test_server_keeps_its_certificate_until_the_activation(crt, server_home, zone):
    code, said = crt(zone.tool(), server_home)

    assert (code, server_home.live().operation) == (0, None)
    assert len(server_home.anchors()) == 2
    assert "waits for the activation" in said


@pytest.mark.parametrize("how", ["go-ahead", "activated"])
def test_server_switches_when_its_time_has_come(crt, server_home, zone, how):
    past = format_time(NOW - timedelta(minutes=1))
    if how == "go-ahead":
        update = {**zone.update(armed=True), "activate_at": past}
        server_home.arm(zone.operation, zone.envelope(epoch=3, update=update))

    code, said = crt(zone.tool(activated=how == "activated"), server_home)

    assert (code, server_home.live().operation) == (0, zone.operation)
    assert "is in use now" in said
    assert "is the new one already" in crt(zone.tool(), server_home)[1]


def test_server_keeps_its_certificate_if_the_new_ca_does_not_vouch_for_the_other(
    crt, server_home, zone
):
    pair = server_home.read_file("security/server.pem")  # of the old CA
    server_home.write_secret("remint-repo/canary.pem", pair)

    code, said = crt(zone.tool(activated=True), server_home)

    assert (code, server_home.live().operation) == (1, None)
    assert "is in place and will not do. No TLS handshake is possible with it" in said


def test_it_asks_no_server_for_a_worker(crt, server_home, server, zone):
    code, said = crt(zone.tool(servers=[server.url]), server_home, "--for-worker", stdin="open")

    assert (code, server.requests) == (0, [])
    assert "No server answered" not in said


def test_it_ends_with_the_worker_that_started_it(crt, server_home, zone):
    begun = time.monotonic()

    code, said = crt(zone.tool(), server_home, "--for-worker", faults="updater-followed:sleep=50")

    assert (code, time.monotonic() - begun < 40) == (1, True)
    assert "waits for the activation" not in said


@pytest.mark.parametrize("at", ["updater-followed", "file.written", "file.renamed:kill:2"])
@pytest.mark.parametrize("activated", [True, False])
def test_killed_at_any_place_it_can_be_run_again(crt, server_home, zone, at, activated):
    fault = at if ":" in at else f"{at}:kill"
    killed, _ = crt(zone.tool(activated=activated), server_home, faults=fault)

    code, _ = crt(zone.tool(activated=activated), server_home)

    assert (killed, code) == (-signal.SIGKILL, 0)
    assert server_home.live().operation == (zone.operation if activated else None)
    assert len(server_home.anchors()) == 2


# The clock


@pytest.fixture
def wrong_clock():
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    return ["faketime", "-f", "-365d"]


def test_right_time_is_told_and_not_set(crt, stranded, server, zone, wrong_clock):
    code, said = crt(zone.tool(servers=[server.url]), stranded, prefix=wrong_clock)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})
    assert f"the right time is {NOW:%Y-%m-%d}" in said
    assert "run this again with --set-clock" in said


def test_clock_that_may_not_be_set_is_said(crt, stranded, server, zone, wrong_clock):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    powerless = ["setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time", *wrong_clock]

    code, said = crt(zone.tool(servers=[server.url]), stranded, "--set-clock", prefix=powerless)

    assert code == 0
    assert "It could not be set" in said


# The installed agent checks the file before anything of it runs


def rescue(path, home, *options):
    words = [sys.executable, "-m", "agent", "rescue", "--home", home.path, path, *options]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def test_installed_agent_does_it_without_running_the_file(tmp_path, stranded, server, zone):
    extra = {f"agent/{updater.MEMBER}": zone.tool(servers=[server.url])}
    hostile = package.contents(start=b"raise SystemExit('the file was run')\n", extra=extra)
    (tmp_path / "crt.pyz").write_bytes(hostile)

    code, said = rescue(tmp_path / "crt.pyz", stranded)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})
    assert "the file was run" not in said


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello" * 1000, None])
def test_file_that_is_no_tool_is_refused(tmp_path, stranded, content):
    (tmp_path / "crt.pyz").write_bytes(package.contents() if content is None else content)

    code, said = rescue(tmp_path / "crt.pyz", stranded)

    assert (code, "is not a Certificate Updater Tool." in said) == (1, True)


def interpreter(version):
    """Return the Python of that version, in the path or with pyenv, None if there is none."""
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "-V"], capture_output=True).returncode == 0:
        return found
    if shutil.which("pyenv") is None:
        return None
    asked = subprocess.run(["pyenv", "prefix", version], capture_output=True, text=True)
    return f"{asked.stdout.strip()}/bin/python" if asked.returncode == 0 else None


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_it_runs_on_every_python(crt, stranded, zone, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"python{version} is not installed")

    code, _ = crt(zone.tool(), stranded, python=python)

    assert (code, trusted(stranded)) == (0, {zone.old.sha256, zone.new.sha256})
