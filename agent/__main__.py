"""
The agent's command line.

Exit codes: 0 done, 1 something else, 2 wrong arguments, 3 no server answers, 4 another fingerprint,
5 the server refuses, 6 no device is enrolled here.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent import (
    evidence,
    evidence_pack,
    loop,
    pem,
    running,
    serve,
    serving,
    system_trust,
    trust,
    updater,
    whereabouts,
)
from agent.client import NoAnswer, Refused
from agent.device import Device
from agent.enrol import (
    Application,
    EnrolmentError,
    WrongFingerprint,
    enrol,
    enrol_pending,
    pending,
)
from agent.evidence_pack import EvidenceError
from agent.home import Home, HomeError
from agent.loop import Bell, Loop, log
from agent.manifest import ManifestError
from agent.roles import NEEDS_CRYPTOGRAPHY, ROLES, can_authenticate
from agent.running import AlreadyRunning, only_one
from agent.state import Identity, NotEnrolled, State
from agent.system_trust import NoStore, StoreError
from agent.updater import NotProven

try:
    from agent import mobile
except ImportError:  # not in the zipapp, and it needs a package that plain devices do not have
    mobile = None  # type: ignore[assignment]

ENROL_AGAIN = 2.0  # seconds
ENROL_TRIES = 15

# Whose text says what is wrong, and what to do.
FOR_THE_USER = (
    EnrolmentError,
    EvidenceError,
    HomeError,
    ManifestError,
    AlreadyRunning,
    NotProven,
    NoStore,
    StoreError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        return 1
    except NoAnswer as error:
        return _complain(error, 3)
    except WrongFingerprint as error:
        return _complain(error, 4)
    except Refused as error:
        return _complain(error, 5)
    except NotEnrolled as error:
        return _complain(error, 6)
    except FOR_THE_USER as error:
        return _complain(error, 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}.", 1)


def enrol_command(options: argparse.Namespace) -> int:
    """Join a zone."""
    roles = options.role or []
    if "authentication" in roles and not can_authenticate():
        raise EnrolmentError(NEEDS_CRYPTOGRAPHY)
    name = options.name or platform.node() or "device"
    application = Application(
        server=options.server.rstrip("/"),
        key=options.key,
        fingerprint=options.fingerprint,
        name=name,
        kind=options.kind,
        dns_name=options.dns or name,
        addresses=options.address or [whereabouts.own_address(options.server)],
        roles=roles,
        finds_dns_name=not (options.dns or options.name),
        finds_addresses=not options.address,
    )
    identity = enrol(Home(options.home), application, loop.now)
    print(f"{identity.name} has joined the zone {identity.zone} as {identity.device}.")
    return 0


def run_command(options: argparse.Namespace) -> int:
    """Keep the device up to date, and serve what its roles are, until SIGTERM."""
    home, bell = Home(options.home), Bell()
    signal.signal(signal.SIGHUP, lambda *_: bell.ring())
    with only_one(home):
        _enrol_if_pending(home, bell)
        Identity.load(home)
        home.repair()
        name = _run(home, bell, options)
        log(f"{name} has stopped.")
    return 0


def _run(home: Home, bell: Bell, options: argparse.Namespace) -> str:
    """Run the device until SIGTERM, anew when it is given other roles; return its name."""
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()
        device_loop.stop()

    while not ended.is_set():
        device_loop = Loop(Device(home, log=log, wake=bell.ring), bell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        if ended.is_set():  # by a signal that met the loop before
            device_loop.stop()
        with serving.serving(
            device_loop.device, _numbers(options), address=options.address, log=log, wake=bell.ring
        ):
            log(f"{device_loop.device.identity.name} runs.")
            device_loop.run()
        if not device_loop.device.begins_anew:
            ended.set()
    return device_loop.device.identity.name


def _enrol_if_pending(home: Home, bell: Bell) -> None:
    """Enrol as an installer wished, however long it takes until a server answers."""
    while (facts := pending(home)) is not None:
        try:
            identity = enrol_pending(home, facts, loop.now)
            log(f"{identity.name} has joined the zone {identity.zone}.")
        except NoAnswer as error:
            log(f"Not enrolled yet. {error}")
            bell.sleep(ENROL_AGAIN)


def mobile_enrol_command(options: argparse.Namespace) -> int:
    """Let a simulated mobile device join a zone by its enrolment link."""
    home, link, bell = Home(options.home), mobile.Link.read(options.link), Bell()
    identity = _patiently(lambda: mobile.enrol_by(home, link, loop.now), bell, tries=ENROL_TRIES)
    print(f"{identity.name} has joined the zone {identity.zone} as {identity.device}.")
    return 0


def mobile_run_command(options: argparse.Namespace) -> int:
    """Keep a simulated mobile device up to date until SIGTERM."""
    home, bell = Home(options.home), Bell()
    link, absence = mobile.pending(home)
    signal.signal(signal.SIGHUP, lambda *_: bell.ring())
    with only_one(home):
        if link is not None:
            _patiently(lambda: mobile.enrol_by(home, link, loop.now), bell)
        device = mobile.Mobile(home, log=log, wake=bell.ring, absence=absence)
        device_loop = Loop(device, bell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: device_loop.stop())
        log(f"{device.identity.name} runs.")
        device_loop.run()
        log(f"{device.identity.name} has stopped.")
    return 0


def _patiently(join: Callable[[], Identity], bell: Bell, *, tries: int | None = None) -> Identity:
    """Join, however long it takes until a server has the identity; at most `tries` times."""
    while True:
        try:
            return join()
        except NoAnswer as error:
            tries = None if tries is None else tries - 1
            if tries == 0:
                raise
            log(f"Not enrolled yet. {error}")
            bell.sleep(ENROL_AGAIN)


def refresh_command(options: argparse.Namespace) -> int:
    """Refresh now: by the agent that runs, otherwise by this process."""
    if not running.refresh(_home(options)):
        print("The agent that runs refreshes now.")
    return 0


def rescue_command(options: argparse.Namespace) -> int:
    """Check a downloaded Certificate Updater Tool with the pinned key, and do what it is for."""
    return updater.run(updater.read_file(options.file), options, say=print)


def system_trust_command(options: argparse.Namespace) -> int:
    """Keep the zone's CAs in the trust store of the operating system, or take them out."""
    home = _home(options)
    anchors = pem.split(trust.current(home))
    store = system_trust.of_this_system()
    system_trust.switch(home.path, options.switch == "on", anchors, log, store=store)
    print(f"The zone's CAs are {'in' if options.switch == 'on' else 'not in'} {store.folder}.")
    return 0


def evidence_command(options: argparse.Namespace) -> int:
    """Check an evidence pack and print what it says; exit code 1 if it does not hold."""
    zone = None
    if options.key is not None:
        key = _key(options.key)
    elif options.home is not None:
        identity = Identity.load(Home(options.home))
        key, zone = identity.key(), identity.zone
    else:
        raise EvidenceError(
            "Name the zone update key with --key, or the folder of an enrolled device with --home."
        )
    found = evidence.check(evidence_pack.open_pack(options.file, key), key, zone=zone)
    print("\n".join(evidence.summary(found)))
    print(f"Right: signed by the zone update key {key.hex()}, and it fits together.")
    return 0


def _key(text: str) -> bytes:
    """Return the public key written in hexadecimal digits, with or without colons."""
    try:
        key = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise EvidenceError("The zone update key has 64 hexadecimal digits.")
    return key


def status_command(options: argparse.Namespace) -> int:
    """Print who this device is, what it trusts and how far it has come."""
    home = _home(options)
    identity, state = Identity.load(home), State.load(home)
    print(f"Device   {identity.name} {identity.device}")
    print(f"Zone     {identity.zone}, epoch {state.epoch}")
    print(f"Key      {identity.key().hex()}")
    print(f"Roles    {', '.join(identity.roles) or 'none'}")
    for fingerprint in trust.fingerprints(trust.current(home)) or ["none"]:
        print(f"Trusts   {fingerprint}")
    print(f"Servers  {', '.join(state.servers)}")
    if state.progress is not None:
        progress = state.progress
        print(f"Update   {progress.update}, attempt {progress.attempt}: {progress.state}")
    return 0


def _home(options: argparse.Namespace) -> Home:
    home = Home(options.home)
    Identity.load(home)
    return home


def _numbers(options: argparse.Namespace) -> dict[str, int]:
    """Return the ports to serve on, by the names of `serve.ports_of`."""
    by_role = serving.PORTS.values()
    return {name: getattr(options, f"{name}_port") for names in by_role for name in names}


def _complain(problem: object, code: int) -> int:
    print(problem, file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description="The agent of a zone's device.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    joining = _command(commands, "enrol", enrol_command)
    joining.add_argument("--server", required=True, help="https://ADDRESS:7444")
    joining.add_argument("--key", required=True, help="the registration key")
    joining.add_argument("--fingerprint", required=True, help="SHA-256 of the zone's CA")
    joining.add_argument("--name", help="default: the host's name")
    joining.add_argument("--dns", help="DNS name, by default the name")
    joining.add_argument(
        "--address",
        action="append",
        help="IP address, by default its own; may be repeated",
    )
    joining.add_argument("--kind", choices=("server", "workstation"), default="workstation")
    joining.add_argument("--role", action="append", choices=ROLES, help="may be repeated")
    running = _command(commands, "run", run_command)
    running.add_argument("--address", help="to serve on, by default the device's first one")
    running.add_argument("--content-port", type=int, default=serve.CONTENT_PORT)
    running.add_argument("--tls-port", type=int, default=serve.TLS_PORT)
    running.add_argument("--canary-port", type=int, default=serve.CANARY_PORT)
    running.add_argument("--rescue-port", type=int, default=serve.RESCUE_PORT)
    if mobile is not None:
        _add_mobile(commands)
    _command(commands, "refresh", refresh_command)
    rescuing = _command(commands, "rescue", rescue_command, home=False)
    rescuing.add_argument("file", help="the downloaded tool; nothing of it is run")
    updater.add_arguments(rescuing)
    _command(commands, "status", status_command)
    trusting = _command(commands, "system-trust", system_trust_command)
    trusting.add_argument("switch", choices=("on", "off"))
    checking = commands.add_parser("evidence", help=evidence_command.__doc__)
    checking.add_argument("file", type=Path, help="the evidence pack")
    checking.add_argument("--key", help="the zone update key, 64 hexadecimal digits")
    checking.add_argument("--home", help="instead: the folder of a device, whose key is pinned")
    checking.set_defaults(command=evidence_command)
    return parser


def _add_mobile(commands: Any) -> None:
    group = commands.add_parser("mobile", help="Be a simulated mobile device.")
    mobiles = group.add_subparsers(required=True, metavar="COMMAND")
    joining = _command(mobiles, "enrol", mobile_enrol_command)
    joining.add_argument("--link", required=True, help="as an administrator has made it")
    _command(mobiles, "run", mobile_run_command)


def _command(
    commands: Any, name: str, command: Any, *, home: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=command.__doc__)
    if home:
        parser.add_argument("--home", required=True, help="the device's folder")
    parser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
