"""
`manage.py add_primary_server`: this host joins the zone as another Primary Server.

It makes its own key here, leaves a request in the database, and waits until the worker of the CA
server has answered it.
"""

import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from certificates import joining, setup_page
from certificates.joining import CannotJoin, NewServer
from certificates.models import JoinRequest
from devices.models import Device
from zcc.ground import clock, here

PATIENCE = 120  # seconds


class Command(BaseCommand):
    help = "Join the zone as another Primary Server, with a token from create_join_token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--token", required=True)
        parser.add_argument("--server", required=True, help="a short name, such as ps2")
        parser.add_argument("--dns", required=True, help="this server's DNS name")
        parser.add_argument("--address", action="append", required=True, help="an IP address")

    def handle(self, *args: Any, **options: Any) -> None:
        self._refuse_two_hosts_without_services()
        server = NewServer(
            name=options["server"], dns_name=options["dns"], addresses=options["address"]
        )
        home = here.home(server.name)
        try:
            request = joining.ask(options["token"], server, home=home, now=clock.now())
            self.stdout.write("Asked the CA server for a certificate; waiting for its answer.")
            request = self._wait(request)
            zone = request.token.zone
            joining.accept(request, home=home)
            setup_page.write(Device.objects.get(guid=here.identity(server.name).guid), home=home)
        except CannotJoin as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{server.name} has joined {zone.name}. Start it with: manage.py runzone")

    def _refuse_two_hosts_without_services(self) -> None:
        """SQLite and the embedded broker are for one host: the one whose homes are here."""
        if connection.vendor == "sqlite" and not here.server_names():
            raise CommandError(
                "A second host needs the zone's database and broker: "
                "set DATABASE_URL and REDIS_URL to those of the first server."
            )
        if connection.vendor != "sqlite" and not os.environ.get("REDIS_URL"):
            raise CommandError("Set REDIS_URL to the zone's broker.")

    def _wait(self, request: JoinRequest) -> JoinRequest:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = JoinRequest.objects.select_related("token__zone", "device").get(pk=request.pk)
            if found.answer is not None or found.refusal:
                return found
            time.sleep(0.5)
        raise CannotJoin(
            "The CA server has not answered within 2 minutes. Is it running? "
            "Nothing has changed; start this command again with the same token."
        )
