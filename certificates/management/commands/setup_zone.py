"""
`manage.py setup_zone`: the first thing anyone meets.

Every answer can be given as an option; what is missing is asked for, and what does not fit is said
and asked again. Without a terminal a missing answer ends the command.
"""

import getpass
import sys
import unicodedata
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from certificates import installing, rebuilding
from certificates.installing import CannotSetUp, ExternalCA, InternalCA
from certificates.joining import CannotJoin, NewServer
from devices.models import Zone
from pki import backup, describe, keys, names
from pki.backup_contents import Contents
from zcc.ground import clock, here, secrets

Answer = TypeVar("Answer")
MIN_PASSWORD = 10


class Command(BaseCommand):
    help = "Set up a zone: its name, this server, the administrator, and its certificate authority."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help="the zone's name")
        parser.add_argument("--server", help="a short name for this server, such as ps1")
        parser.add_argument("--dns", help="this server's DNS name")
        parser.add_argument("--address", action="append", help="an IP address of this server")
        parser.add_argument("--admin", help="the first administrator")
        parser.add_argument("--password-file", help="a file with the administrator's password")
        parser.add_argument("--ca", choices=["internal", "external"])
        parser.add_argument("--key-length", choices=sorted(keys.KEY_TYPES))
        parser.add_argument("--years", type=int)
        parser.add_argument("--chain", help="external CA: the server's certificate and its chain")
        parser.add_argument("--key", help="external CA: the server's private key")
        parser.add_argument("--from-backup", help="rebuild the zone of this backup of its CA")
        parser.add_argument("--passphrase-file", help="a file with the backup's passphrase")

    def handle(self, *args: Any, **options: Any) -> None:
        if Zone.objects.exists():
            raise CommandError("This database has a zone already. Nothing has changed.")
        if options["from_backup"]:
            self._rebuild(options)
            return
        secrets.make(settings.SECRET_KEY_FILE)
        name = self._ask("Zone name", options["name"], names.check_common_name)
        server = self._server(options)
        username = self._ask("Administrator", options["admin"], _username)
        password = self._password(options["password_file"])
        ca = self._authority(options, zone_name=name, server=server)
        try:
            zone = installing.set_up_zone(
                name, server, ca, home=here.home(server.name), now=clock.now()
            )
        except (CannotSetUp, CannotJoin) as error:
            raise CommandError(str(error)) from error
        installing.make_administrator(username, password)
        installing.write_welcome(zone, server, admin=username, password=None)
        self.stdout.write(f"The zone {name} is set up. Start it with: manage.py runzone")

    def _rebuild(self, options: dict[str, Any]) -> None:
        """Set the zone up again from a backup of its CA, when its database is gone, too."""
        contents = self._backup(options)
        secrets.make(settings.SECRET_KEY_FILE)
        server = self._server(options)
        username = self._ask("Administrator", options["admin"], _username)
        password = self._password(options["password_file"])
        external = self._external_of(contents, options, server=server)
        try:
            zone = rebuilding.rebuild_zone(
                contents, server, external, home=here.home(server.name), now=clock.now()
            )
        except (CannotSetUp, CannotJoin) as error:
            raise CommandError(str(error)) from error
        installing.make_administrator(username, password)
        installing.write_welcome(zone, server, admin=username, password=None)
        self.stdout.write(
            f"The zone {zone.name} is set up again with {server.name} alone. Join the other "
            "Primary Servers with add_primary_server, and enrol devices again: the database that "
            "knew them is gone. Start it with: manage.py runzone"
        )

    def _external_of(
        self, contents: Contents, options: dict[str, Any], *, server: NewServer
    ) -> ExternalCA | None:
        """Ask for what the zone's external CA has signed for this server, if it had one."""
        if contents.external is None:
            return None
        name = describe.describe(contents.external).subject
        self.stdout.write(
            f"The zone's CA was external: {name}. Give what it signed for {server.dns_name}."
        )
        found = self._external(options, server=server)
        if found.root != contents.external:
            root = describe.describe(found.root).subject
            self.stderr.write(
                f"Mind that this chain ends at another certificate: {root}. Devices that know only "
                "the first one need the Certificate Updater Tool."
            )
        return found

    def _backup(self, options: dict[str, Any]) -> Contents:
        """Ask for file and passphrase until one opens the other."""
        file, given = options["from_backup"], options["passphrase_file"]
        while True:
            data = self._ask("Backup file", file, _contents)
            passphrase = _text(given) if given else self._passphrase()
            try:
                return backup.read(data, unicodedata.normalize("NFC", passphrase))
            except backup.NotABackup as error:
                self._say_or_end(str(error))
                given = None

    def _passphrase(self) -> str:
        if not sys.stdin.isatty():
            raise CommandError("Give the backup's passphrase with --passphrase-file.")
        return _typed(getpass.getpass, "Passphrase of the backup: ")

    def _server(self, options: dict[str, Any]) -> NewServer:
        dns_name = self._ask("DNS name of this server", options["dns"], names.check_dns_name)
        given = ",".join(options["address"]) if options["address"] else None
        addresses = self._ask("IP addresses of this server", given, _addresses)
        short = options["server"] or dns_name.split(".")[0]
        return NewServer(name=short, dns_name=dns_name, addresses=addresses)

    def _authority(
        self, options: dict[str, Any], *, zone_name: str, server: NewServer
    ) -> InternalCA | ExternalCA:
        if self._ask("internal or external CA", options["ca"], _kind) == "internal":
            years = options["years"] or 10
            if not 1 <= years <= 10:
                raise CommandError(f"A CA is valid for 1 to 10 years, not {years}.")
            key_type = options["key_length"] or keys.DEFAULT
            return InternalCA(common_name=zone_name, key_type=key_type, years=years)
        return self._external(options, server=server)

    def _external(self, options: dict[str, Any], *, server: NewServer) -> ExternalCA:
        """Ask for chain and key until they fit this server, saying each time what does not."""
        chain, key = options["chain"], options["key"]
        while True:
            chain_file = self._ask("File with the certificate and its chain", chain, _contents)
            key_file = self._ask("File with the private key", key, _contents)
            try:
                return installing.read_external(
                    chain_file, key_file, server=server, now=clock.now()
                )
            except CannotSetUp as error:
                self._say_or_end(str(error))
                chain = key = None

    def _password(self, path: str | None) -> str:
        if path:
            return self._ask("Password", self._ask("Password file", path, _text), _password)
        if not sys.stdin.isatty():
            raise CommandError("Give the administrator's password with --password-file.")
        while True:
            try:
                return _password(_typed(getpass.getpass, "Password of the administrator: "))
            except ValueError as error:
                self.stderr.write(str(error))

    def _ask(self, question: str, given: str | None, check: Callable[[str], Answer]) -> Answer:
        """Return the checked answer: the option's, or the first that is typed and fits."""
        while True:
            if given is None and not sys.stdin.isatty():
                raise CommandError(f"{question} is missing. See --help for its option.")
            answer = given if given is not None else _typed(input, f"{question}: ")
            try:
                return check(answer)
            except ValueError as error:
                self._say_or_end(str(error))
                given = None

    def _say_or_end(self, sentence: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError(sentence)
        self.stderr.write(sentence)


def _typed(ask: Callable[[str], str], question: str) -> str:
    """Return what is typed; the end of the input, Ctrl-D, ends the command."""
    try:
        return ask(question)
    except EOFError as error:
        raise CommandError("The input ended before the answer. No zone was set up.") from error


def _addresses(text: str) -> list[str]:
    return [names.check_ip(part) for part in text.replace(",", " ").split()]


def _kind(text: str) -> str:
    if text.strip().lower() not in ("internal", "external"):
        raise ValueError("Type internal or external.")
    return text.strip().lower()


def _username(text: str) -> str:
    if not 1 <= len(text.strip()) <= 150:
        raise ValueError("A user name has 1 to 150 characters.")
    return text.strip()


def _password(text: str) -> str:
    if len(text) < MIN_PASSWORD:
        raise ValueError(f"A password has at least {MIN_PASSWORD} characters.")
    return text


def _text(path: str) -> str:
    return _contents(path).decode(errors="replace").strip()


def _contents(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"{path} could not be read: {error.strerror}.") from error
