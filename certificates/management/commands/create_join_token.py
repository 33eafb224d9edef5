"""`manage.py create_join_token`: lets one more Primary Server join. Run it on the CA server."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from certificates import joining
from certificates.keys import KeyUnavailable
from devices.models import Zone
from zcc.ground import clock, here


class Command(BaseCommand):
    help = "Print a one-time token with which another Primary Server can join within the hour."

    def handle(self, *args: Any, **options: Any) -> None:
        zone = Zone.objects.first()
        if zone is None:
            raise CommandError("There is no zone yet. Begin with setup_zone.")
        try:
            self.stdout.write(joining.create_token(zone, home=here.home(), now=clock.now()))
        except (KeyUnavailable, here.NoServer) as error:
            raise CommandError(f"{error} Run this on the server with the CA role.") from error
