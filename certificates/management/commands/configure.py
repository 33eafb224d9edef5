"""
`manage.py configure -c AddExternalCAToTrustStore [-Z]`: the manual's configure action.

It works on the home of one server alone: database and broker may be away, and may be the very
thing that cannot be reached until their CA is trusted.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agent.home import Home
from certificates import external_trust
from certificates.external_trust import Added, CannotAdd
from pki.describe import with_colons
from zcc.ground import here

ACTIONS = ["AddExternalCAToTrustStore"]


class Command(BaseCommand):
    help = "Add an external CA certificate to the trust store of this server."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("-c", dest="action", choices=ACTIONS, required=True)
        parser.add_argument(
            "-Z", dest="override", action="store_true", help="replace what has the same alias"
        )
        parser.add_argument("--file", help="path to the external CA's file; asked for if missing")
        parser.add_argument("--alias", help="its name in the trust store, by default the CA's own")
        parser.add_argument("--server", help="which server, where several have homes on this host")

    def handle(self, *args: Any, **options: Any) -> None:
        home = _home(options["server"])
        file = options["file"] or self._ask("file path: ")
        if file is None:
            raise CommandError("The file path is missing. Give it with --file.")
        alias = options["alias"]
        if alias is None and not options["file"]:
            alias = self._ask("alias (empty: the CA's name): ")
        try:
            added = external_trust.add(
                home, Path(file), alias=alias or None, override=options["override"]
            )
        except CannotAdd as error:
            raise CommandError(f"{error} Nothing has changed.") from error
        self.stdout.write(_said(added))

    def _ask(self, question: str) -> str | None:
        return input(question).strip() if sys.stdin.isatty() else None


def _home(server: str | None) -> Home:
    try:
        name = server or here.server_name()
    except here.NoServer as error:
        raise CommandError(f"{error} Or give its name with --server.") from error
    if name not in here.server_names():
        raise CommandError(f"There is no home of a server {name} on this host.")
    return here.home(name)


def _said(added: Added) -> str:
    """Say what is in the store now, in the words of the manual."""
    if added.was_kept:
        return (
            f"The alias {added.alias} exists already and was kept. Nothing has changed. "
            "To replace it, run the command with -Z; to keep both, choose another --alias."
        )
    if not added.is_new:
        return f"{added.subject} is in the trust store already, as {added.alias}."
    return (
        f"{added.subject} is in the trust store as {added.alias}.\n"
        f"SHA-256 {with_colons(added.sha256)}\n"
        "It counts from the next connection to PostgreSQL or Redis on, and stays through a remint."
    )
