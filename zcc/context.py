"""What the shell of every page shows: zone, badges, server, time zone, appearance."""

from datetime import datetime, timedelta
from functools import cached_property

from django.http import HttpRequest
from django.utils import timezone

from agent import VERSION
from agent.home import HomeError
from certificates.models import Operation
from devices.models import TICK_STALE_AFTER, Heartbeat, Zone
from systemupdates import overview
from systemupdates.models import SystemUpdate
from zcc.ground import clock, here

APPEARANCES = {"light": "Light", "dark": "Dark", "system": "System"}
APPEARANCE_COOKIE = "zcc_appearance"


def shell(request: HttpRequest) -> dict[str, object]:
    """Give templates `shell`. What a page does not show is not asked of the database."""
    return {"shell": Shell(request)}


class Shell:
    """Answers the questions of base.html, each at most once a page."""

    version = VERSION
    appearances = APPEARANCES

    def __init__(self, request: HttpRequest) -> None:
        chosen = request.COOKIES.get(APPEARANCE_COOKIE, "")
        self.appearance = chosen if chosen in APPEARANCES else "system"

    @property
    def theme(self) -> str:
        """What Bootstrap is told; theme.js mends it where the appearance is System."""
        return "dark" if self.appearance == "dark" else "light"

    @cached_property
    def now(self) -> datetime:
        return clock.now()

    @cached_property
    def zone(self) -> Zone | None:
        return Zone.objects.first()

    @cached_property
    def _open(self) -> list[Operation]:
        return list(Operation.objects.open())  # one at most: a constraint

    @property
    def open_operations(self) -> int:
        return len(self._open)

    @property
    def held(self) -> Operation | None:
        """The operation that waits for somebody; every page says so, lest it be forgotten."""
        return next((operation for operation in self._open if operation.is_held), None)

    @cached_property
    def deploying_updates(self) -> int:
        return overview.unfinished(SystemUpdate.objects.all()).count()

    @cached_property
    def silence(self) -> timedelta | None:
        """For how long no worker has looked for due work, if that is too long."""
        if self.zone is None:
            return None
        passed = self.now - (Heartbeat.objects.last_tick_at() or self.zone.created_at)
        return passed if passed > TICK_STALE_AFTER else None

    @property
    def time_zone(self) -> str:
        return timezone.localtime(self.now).tzname() or "UTC"

    @cached_property
    def server_name(self) -> str:
        try:
            return here.server_name()
        except here.NoServer:
            return ""

    @cached_property
    def certificate_fingerprint(self) -> str:
        """SHA-256 of the certificate this server shows; empty before it has one."""
        try:
            live = here.home().live() if self.server_name else None
        except (HomeError, OSError):
            return ""
        return live.leaf_sha256 if live else ""
