"""`manage.py runzone`: run the Primary Servers of this host."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from zcc import supervisor
from zcc.ground import here
from zcc.processes.broker import NoBroker


class Command(BaseCommand):
    """Runs the zone in the foreground until Ctrl-C or SIGTERM."""

    help = "Run the Primary Servers whose homes are on this host."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the options."""
        parser.add_argument("--server", metavar="NAME", help="run this server only")
        parser.add_argument(
            "--demo", action="store_true", help="run the agents of the demo zone, too"
        )

    def handle(self, *args: Any, server: str | None, demo: bool, **options: Any) -> None:
        """Run until told to stop."""
        names = [server] if server else here.server_names()
        try:
            supervisor.run_zone(names=names, demo=demo, say=self._say)
        except (supervisor.CannotRun, NoBroker) as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
