"""
The Certificate Updater Tool (CRT): the agent and one signed package, in one file.

It brings a device back that no server of the zone reaches any more. The package holds the CAs that
the zone trusts with its new one, signed with the zone update key that every device has pinned. What
does not prove itself by that key, or by a fingerprint that an administrator gives, changes nothing.
It needs no network, says what it did, and may be run twice.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pkgutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from agent import client, loop, manifest, pem, running, trust
from agent.client import NoAnswer, Refused
from agent.enrol import EnrolmentError, normal_fingerprint
from agent.faults import fault_point
from agent.home import Home, HomeError
from agent.manifest import ManifestError, parse_time
from agent.pages import MANIFEST
from agent.running import AlreadyRunning
from agent.state import IDENTITY, Identity, NotEnrolled, State

PREFIX = b"zcc-updater-1\n"
MEMBER = "updater-package.json"  # beside the agent's modules
MAX_FILE = 16 * 1024 * 1024
CLOCK_IS_WRONG = timedelta(minutes=5)
SERVER_FILE = "server.json"  # in the home of a Primary Server
SERVER_KEY = "security/update-key.pub"

Say = Callable[[str], None]
# What reading a damaged state.json has been seen to raise.
_DAMAGED = (ValueError, TypeError, LookupError)


class NotProven(Exception):
    """The package does not prove itself to this device. The text says what to do."""


@dataclass(frozen=True)
class Package:
    """What the tool brings: `anchors` in PEM, oldest first; `new_anchor` is a SHA-256."""

    zone: str
    zone_name: str
    operation: str
    update: str
    made_at: datetime
    epoch: int
    anchors: tuple[bytes, ...]
    new_anchor: str
    activated: bool
    servers: tuple[str, ...]
    # False: a fingerprint has proven one CA of it and nothing else.
    is_whole: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the tool is for; return the exit code."""
    parser = argparse.ArgumentParser(prog="crt", description=__doc__.split("\n\n")[0])
    add_arguments(parser)
    options = parser.parse_args(argv)
    envelope = pkgutil.get_data("agent", MEMBER) or b""
    try:
        return run(envelope, options, say=print)
    except (NotProven, NotEnrolled, ManifestError, HomeError, EnrolmentError) as error:
        print(f"{error} Nothing has changed.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or options.home}: {error.strerror or error}.", file=sys.stderr)
        return 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the options of the tool."""
    parser.add_argument("--home", required=True, help="the folder of the device or server")
    parser.add_argument("--ca-sha256", metavar="FINGERPRINT", help="of the new CA, by another way")
    parser.add_argument("--set-clock", action="store_true", help="set a clock that is wrong")
    parser.add_argument("--check", action="store_true", help="say what would be done, and end")
    parser.add_argument(
        "--for-worker",
        action="store_true",
        help="ask no server of the zone, and end when standard input does",
    )


def read_file(path: str) -> bytes:
    """Return the envelope in a tool that was downloaded; nothing of it is run. Raises NotProven."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = archive.getinfo(f"agent/{MEMBER}")
            if len(data) > MAX_FILE or member.file_size > manifest.MAX_BYTES:
                raise NotProven(f"{path} is too large to be a Certificate Updater Tool.")
            return archive.read(member)
    except (KeyError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise NotProven(f"{path} is not a Certificate Updater Tool.") from error


def run(envelope: bytes, options: argparse.Namespace, *, say: Say) -> int:
    """
    Put the package's CAs, and on a server its new certificate, in place; say what was done.

    Raises NotProven, NotEnrolled, HomeError or OSError; then nothing has changed.
    """
    if options.for_worker:
        threading.Thread(target=_end_with_input, daemon=True).start()
    home = Home(options.home)
    package = proven(envelope, home, fingerprint=options.ca_sha256)
    say(f"Made by the zone {package.zone_name} at {manifest.format_time(package.made_at)}.")
    if options.check:
        say(f"It is proven. It brings the CA {package.new_anchor}.")
        return 0
    is_device = _is_device(home)
    follow = _follow_as_device if is_device else _follow_as_server
    anchors = follow(home, package, say)
    fault_point("updater-followed")
    is_good = _switch_if_due(home, package, say)
    if options.for_worker or not is_good:
        return 0 if is_good else 1
    is_right = _look_at_clock(package, anchors, set_it=options.set_clock, say=say)
    if is_device and is_right:
        _refresh(home, say)
    return 0


def _end_with_input() -> None:
    """Leave nothing undone to a worker that was killed: its successor must not meet this one."""
    while os.read(0, 1):
        pass
    os._exit(1)


def proven(envelope: bytes, home: Home, *, fingerprint: str | None) -> Package:
    """
    Return the package if this home can believe it: by its pinned key, or by the CA's fingerprint.

    A fingerprint proves one CA and nothing else, so then the package holds that CA alone.
    """
    if fingerprint is not None:
        return _by_fingerprint(
            _package(manifest.unproven(envelope)), normal_fingerprint(fingerprint)
        )
    key, zone = _pinned(home)
    try:
        package = _package(manifest.opened(envelope, key, prefix=PREFIX))
    except ManifestError as error:
        raise NotProven(_NOT_OURS if zone is not None else _NOT_OURS_ON_A_SERVER) from error
    if zone is not None and package.zone != zone:
        raise NotProven("This tool was made by another zone.")
    return package


_NOT_OURS = (
    "This tool was not made by the zone that this device belongs to. Download it again. If that "
    "does not help, this device has lost the zone's key: remove its folder and enrol it again."
)
_NOT_OURS_ON_A_SERVER = (
    "This tool was not made by the zone whose key this server has pinned. If it is this zone's, "
    f"copy {SERVER_KEY} from another Primary Server."
)


def _pinned(home: Home) -> tuple[bytes, str | None]:
    """Return the zone update key that was pinned here, and the zone if that is known."""
    if _is_device(home):
        identity = Identity.load(home)
        return identity.key(), identity.zone
    key = home.read_file(SERVER_KEY)
    if key is None:
        raise NotProven(_NOT_OURS_ON_A_SERVER)
    return key, None


def _is_device(home: Home) -> bool:
    """Whether a device is enrolled here, not a server set up. Raises NotEnrolled if neither is."""
    if home.read_file(IDENTITY) is not None:
        return True
    if home.read_file(SERVER_FILE) is None:
        raise NotEnrolled(f"There is no device or server of a zone in {home.path}.")
    return False


def _by_fingerprint(package: Package, expected: str) -> Package:
    found = [anchor for anchor in package.anchors if pem.fingerprint(anchor) == expected]
    if not found or package.new_anchor != expected:
        raise NotProven(
            f"This tool brings the CA {package.new_anchor}, not the one with that fingerprint."
        )
    return replace(package, anchors=tuple(found), activated=False, is_whole=False)


def _follow_as_device(home: Home, package: Package, say: Say) -> bytes:
    """Let the device trust what the package says, or the newer trust it has been told already."""
    anchors = _wanted(home, package, say)
    before = _readable(trust.current(home))
    if set(before) >= {pem.fingerprint(anchor) for anchor in anchors}:
        if package.new_anchor in map(pem.fingerprint, anchors):
            say(_since_when(home, package, trust.FILE, told=_told(home), word="at the latest"))
        return pem.join(anchors)
    home.write_file(trust.FILE, pem.join(anchors))
    for anchor in anchors:
        fingerprint = pem.fingerprint(anchor)
        word = "Kept" if fingerprint in before else "Added"
        say(f"{word} the CA {fingerprint}.")
    return pem.join(anchors)


def _wanted(home: Home, package: Package, say: Say) -> tuple[bytes, ...]:
    """Return the CAs to trust: the package's, or what the device has been told of more recently."""
    known = _told(home)
    if known is None:
        return package.anchors
    if known.epoch > package.epoch:
        if package.new_anchor not in known.fingerprints():
            say(
                f"The zone has told this device newer things (epoch {known.epoch}) than this tool "
                f"knows (epoch {package.epoch}): the CA of this tool is not in force any more."
            )
        return known.anchors
    if package.is_whole:
        return package.anchors
    return (*(one for one in known.anchors if one not in package.anchors), *package.anchors)


def _told(home: Home) -> manifest.Manifest | None:
    """Return what the zone has told this device last, None if that cannot be read."""
    try:
        return State.load(home).read_manifest(Identity.load(home).key())
    except (NotEnrolled, ManifestError, *_DAMAGED):
        return None


def _told_to_server(home: Home) -> manifest.Manifest | None:
    try:
        return manifest.read(home.read_file(MANIFEST) or b"", _pinned(home)[0])
    except ManifestError:
        return None


def _since_when(
    home: Home, package: Package, file: str, *, told: manifest.Manifest | None, word: str
) -> str:
    """Say that the new CA is trusted already: since when, by the file's time, and through what."""
    if told is None or package.new_anchor not in told.fingerprints():
        through = "an earlier run of this tool"
    else:
        through = "the trust manifest"
    at = datetime.fromtimestamp((home.path / file).stat().st_mtime, timezone.utc)
    since = f"since {manifest.format_time(at)}{word and f' {word}'}"
    return f"The new CA was trusted already, through {through}, {since}. Nothing had to be added."


def _readable(current: bytes) -> list[str]:
    try:
        return trust.fingerprints(current)
    except ValueError:
        return []


def _follow_as_server(home: Home, package: Package, say: Say) -> bytes:
    """Let a Primary Server trust the new CA beside what its worker has given it."""
    before = home.anchors()
    known = {pem.fingerprint(anchor) for anchor in before}
    new = [anchor for anchor in package.anchors if pem.fingerprint(anchor) not in known]
    if new:
        home.set_anchors([*before, *new])
        say("Added the new CA to the trust store of this server.")
    else:
        file = f"security/trust-store/zone-ca-{package.new_anchor[:16]}.pem"
        say(_since_when(home, package, file, told=_told_to_server(home), word=""))
    return pem.join([*before, *new])


def _switch_if_due(home: Home, package: Package, say: Say) -> bool:
    """On a server: use the staged certificate if its time has come; False if it will not do."""
    live, staged = home.live(), home.staged()
    if live is None:
        return True  # a device that shows no certificate
    if live.operation == package.operation:
        say("Its server certificate is the new one already.")
    elif staged is None or staged.operation != package.operation:
        say("It has no new server certificate yet; it fetches that from the zone.")
    elif problem := _why_not_accepted(home, package):
        say(f"Its new server certificate is in place and will not do. {problem}")
        return False
    elif not (package.activated or _is_due(home)):
        say("Its new server certificate is in place and waits for the activation.")
        say("A TLS handshake with it succeeded, trusting the new CA alone.")
    else:
        home.activate(package.operation)
        say("Its new server certificate is in use now.")
    return True


def _why_not_accepted(home: Home, package: Package) -> str:
    """
    Return why whoever trusts the new CA alone would refuse what is staged, nothing if nobody would.

    Dates do not count: a certificate may begin with the activation.
    """
    anchors = [one for one in package.anchors if pem.fingerprint(one) == package.new_anchor]
    context = client.trusting_at_any_time(pem.join(anchors))
    context.check_hostname = False
    try:
        home.try_staged(package.operation, context)
    except HomeError as error:
        return str(error)
    return ""


def _is_due(home: Home) -> bool:
    """Whether the zone has given its go-ahead and the time has come."""
    go_ahead = home.armed(_pinned(home)[0])
    return go_ahead is not None and loop.now() >= go_ahead.activate_at


def _look_at_clock(package: Package, anchors: bytes, *, set_it: bool, say: Say) -> bool:
    """Ask a server for the time and return whether ours is right now; it is set if asked to."""
    right = _time_of_a_server(package, anchors)
    if right is None:
        say("No server answered. The agent goes on by itself as soon as one does.")
        return False
    if abs(right - loop.now()) <= CLOCK_IS_WRONG:
        return True
    shown, told = manifest.format_time(loop.now()), manifest.format_time(right)
    if not set_it:
        say(f"The clock of this device shows {shown}; the right time is {told}.")
        say("Set it, or run this again with --set-clock.")
        return False
    try:
        time.clock_settime(time.CLOCK_REALTIME, right.timestamp())
    except OSError as error:
        say(f"The clock shows {shown}, the right time is {told}. It could not be set: {error}.")
        return False
    say(f"The clock showed {shown} and has been set to {told}.")
    return True


def _time_of_a_server(package: Package, anchors: bytes) -> datetime | None:
    for server in package.servers:
        with contextlib.suppress(NoAnswer):
            return client.server_time(server, anchors)
    return None


def _refresh(home: Home, say: Say) -> None:
    """Let the device come back now, not only at its next refresh."""
    try:
        running.refresh(home)
    except (NoAnswer, Refused, AlreadyRunning) as error:
        say(f"{error} The agent tries again by itself.")
    except ManifestError:
        say("This device has lost the zone's key: remove its folder and enrol it again.")
    except _DAMAGED:
        say("What the agent remembers is damaged. Enrol this device again.")
    else:
        say("The device refreshes: it is back in the zone.")


def _package(payload: dict[str, Any]) -> Package:
    try:
        if payload["version"] != 1:
            raise ValueError("unknown version")
        anchors = tuple(pem.split("".join(payload["anchors"]).encode("ascii")))
        package = Package(
            zone=str(payload["zone"]),
            zone_name=str(payload["zone_name"]),
            operation=str(payload["operation"]),
            update=str(payload["update"]),
            made_at=parse_time(payload["made_at"]),
            epoch=int(payload["epoch"]),
            anchors=anchors,
            new_anchor=str(payload["new_anchor"]),
            activated=payload["activated"] is True,
            servers=tuple(str(url) for url in payload["servers"]),
        )
        if package.new_anchor not in {pem.fingerprint(anchor) for anchor in anchors}:
            raise ValueError("the new CA is missing")
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError("The package of this tool is not one.") from error
    return package
