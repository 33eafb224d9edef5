"""
What a forecast costs in a zone of 100,000 devices, against a bare scan of the same columns.

    python benchmarks/forecast.py [DEVICES]

It fills a database of its own in a temporary folder with eight weeks of records, and prints for one
forecast the processor time of the scan, of the arithmetic, and of the whole, and their ratios; what
a contact pays for its record; and what a page pays to show the forecast.
"""

import atexit
import os
import random
import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
_home = tempfile.mkdtemp(prefix="zcc-benchmark-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["ZCC_HOME"] = _home
os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from certificates import forecast_view  # noqa: E402
from certificates.actions import forecasts  # noqa: E402
from certificates.forecast import forecast  # noqa: E402
from devices import check_ins  # noqa: E402
from devices.models import Device, Zone  # noqa: E402
from zcc.ground import clock  # noqa: E402

COLUMNS = "id, check_ins, refresh_interval, enrolled_at, last_contact_at, kind"


def measured(act):
    """Return the processor seconds that `act` takes, and what it returns."""
    before = time.process_time()
    result = act()
    return time.process_time() - before, result


def fill(zone, number, now):
    """Devices in contact about every working day, every few hours, or every few days."""
    chance, last = random.Random(1), check_ins.hour_of(now)
    rows = []
    for count in range(number):
        gap = chance.choice([6, 11, 24, 24, 24, 60])
        silent = chance.expovariate(1 / gap)
        hours = range(0, check_ins.HOURS, gap)
        bits = sum(1 << min(back + chance.randrange(3), check_ins.HOURS - 1) for back in hours) | 1
        seen = last - int(silent)
        record = check_ins._written(seen - check_ins.HOURS, seen, bits & check_ins._ALL)
        rows.append(
            Device(
                zone=zone,
                name=f"device-{count:06}",
                kind="workstation",
                enrolled_at=now - timedelta(days=200),
                last_contact_at=now - timedelta(hours=silent),
                check_ins=record,
            )
        )
    Device.objects.bulk_create(rows, batch_size=5000)


def scan():
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM devices_device WHERE retired_at IS NULL")
        return sum(1 for _ in cursor)


def main(number):
    call_command("migrate", verbosity=0)
    now = clock.now()
    zone = Zone.objects.create(name="BENCHMARK", created_at=now)
    fill(zone, number, now)
    scan()
    bare, seen = measured(scan)
    reading, fleet = measured(lambda: forecasts._at_rest(zone, now=now))
    at = now.timestamp() / 3600
    arithmetic, _ = measured(lambda: forecast(fleet.candidates, now=at, start=at))
    whole, _ = measured(lambda: forecasts.make(zone, now=now))
    row = forecast_view.at_rest(zone)
    record = bytes(Device.objects.first().check_ins)
    many, _ = measured(
        lambda: [check_ins.added(record, now + timedelta(hours=n)) for n in range(10_000)]
    )
    page, _ = measured(lambda: [forecast_view.Misses(row, now, now=now).names for _ in range(100)])
    print(f"{seen:,} devices; processor seconds")
    print(f"bare scan of the columns   {bare:7.2f}      1")
    print(f"rows to candidates         {reading:7.2f}   {reading / bare:5.1f}")
    print(f"arithmetic                 {arithmetic:7.2f}   {arithmetic / bare:5.1f}")
    print(f"a whole forecast, stored   {whole:7.2f}   {whole / bare:5.1f}")
    print(f"every 10 minutes: {whole / 600:.2%} of a processor; at rest: {whole / 3600:.2%}")
    print(f"a contact's record: {many / 10_000 * 1e6:.1f} us ({len(record)} bytes)")
    print(f"who misses a date, for a page: {page / 100 * 1e3:.2f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
