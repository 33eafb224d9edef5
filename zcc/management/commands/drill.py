"""`manage.py drill`: both kinds of remint in a throw-away zone, devices counted on the wire."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from zcc.drill import fleet as fleets
from zcc.drill.report import Report
from zcc.drill.story import Drill
from zcc.drill.zone import SATELLITES, Failed, ThrowAwayZone

DEVICES = 30
MOST = 200


class Command(BaseCommand):
    """Ends with 1 if anything was not as it should be."""

    help = (
        "Remint the CA of a throw-away zone in Overlap and then in Strict, while devices sleep and "
        "fail. Nobody may be lost in Overlap, and in Strict exactly those who are named before. "
        "The zone that this machine serves is not touched."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the options."""
        parser.add_argument(
            "--devices", type=int, default=DEVICES, help=f"managed devices, default: {DEVICES}"
        )
        parser.add_argument("--keep", metavar="FOLDER", help="copy the zone with all logs there")

    def handle(self, *args: Any, devices: int, keep: str | None, **options: Any) -> None:
        """Run the drill, and leave nothing of it behind."""
        if not fleets.FEWEST <= devices <= MOST:
            raise CommandError(f"A drill has {fleets.FEWEST} to {MOST} devices.")
        began, report = time.monotonic(), Report(self._say)
        fleet = fleets.of(devices)
        self._say(f"3 Primary Servers, 2 Satellites, {devices} devices: {fleet}.")
        zone = ThrowAwayZone(devices=(*SATELLITES, *fleet.all))
        try:
            Drill(zone, fleet, report).run()
            if left := zone.stop():
                report.fail(f"{len(left)} processes did not end.")
        except Failed as error:
            report.fail(str(error))
        finally:
            zone.remove(keep)
        self._conclude(report, seconds=time.monotonic() - began)

    def _conclude(self, report: Report, *, seconds: float) -> None:
        self._say(f"\n{report.handshakes:,} handshakes in {seconds:.0f} s.")
        for difference in report.differences:
            self._say(f"DIFFERS  {difference}")
        if report.differences:
            raise CommandError("The drill has found that something is not as it should be.")
        self._say("Overlap lost nobody. Strict lost exactly those who were named before.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
