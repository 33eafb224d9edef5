"""
What 100,000 devices cost on the pages and in the actions on many, against 1,000 and bare SQL.

    python benchmarks/fleet.py [DEVICES]

It fills a database of its own in a temporary folder, or the empty one that DATABASE_URL names. For
each page it prints the 95th percentile of its time with 1,000 devices and with all, their ratio
(at most 1.2) and the queries (the same). For each action on many it prints its time, that of bare
SQL that writes the same rows, and their ratio (at most 1.5).
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

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from devices import folders  # noqa: E402
from devices.models import Device, Zone  # noqa: E402
from systemupdates import actions  # noqa: E402
from systemupdates.models import DeviceUpdate, SystemUpdate  # noqa: E402
from zcc.ground import clock  # noqa: E402

SMALL, MANY, ROUNDS, WARM = 1000, 10_000, 40, 5
OSLO = "/Workstations/Oslo"
DEVICES = {
    "devices": "",
    "devices, a folder": "?folder=workstations",
    "devices, a sub-folder": f"?in={OSLO}",
    "devices, text": "?q=device-0005",
    "devices, silent for 30 days": "?contact=long",
    "devices, by last contact": "?sort=-contact",
    "devices, a later page": "?after=device-000400~1",
    "devices, retired": "?folder=retired",
}
STATUS = {
    "status by device": "",
    "status by device, a status": "?status=failed",
    "status by device, a count": "?count=pending",
    "status by device, a kind": "?kind=workstation",
    "status by device, a folder": f"?folder={OSLO}",
    "status by device, text": "?q=device-0005",
    "status by device, by change": "?sort=changed",
    "status by device, all together": f"?status=assigned&kind=workstation&folder={OSLO}&q=device-0",
    "status by device, a later page": "?after=device-000400~1",
}


def fill(zone, begin, end, now):
    """Devices of every kind and folder, one in ten retired."""
    chance, rows = random.Random(begin), []
    for count in range(begin, end):
        kind = chance.choices(["workstation", "server", "mobile"], [80, 10, 10])[0]
        rows.append(
            Device(
                zone=zone,
                name=f"device-{count:06}",
                kind=kind,
                dns_name=f"device-{count:06}.example.com",
                addresses=[f"10.{count >> 16}.{count >> 8 & 255}.{count & 255}"],
                folder=OSLO if kind == "workstation" and count % 3 == 0 else "/",
                version="1.0.0",
                enrolled_at=now - timedelta(days=200),
                last_contact_at=now - timedelta(hours=chance.expovariate(1 / 500)),
                retired_at=now if count % 10 == 9 else None,
                trusted_fingerprints=["ab" * 32],
            )
        )
    Device.objects.bulk_create(rows, batch_size=5000)


def assigned(zone, server, by, now):
    """Make an update that all devices have; some have failed, some are done."""
    update = actions.create_update(zone, name="U", initiating_server=server, by=by, now=now)
    actions.start_replication(update, sha256="ab" * 32, size=14_000, now=now)
    actions.assign(update, by=by, now=now)
    for state, every in (("failed", 10), ("completed", 2)):
        chosen = [pk for pk in Device.objects.values_list("pk", flat=True) if pk % every == 0]
        for begin in range(0, len(chosen), 10_000):
            rows = update.device_updates.filter(device__in=chosen[begin : begin + 10_000])
            rows.move(to=state, by=None, at=now)
    return update


def analyze():
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def addresses(update):
    pages = {name: f"/devices/{query}" for name, query in DEVICES.items()}
    prefix = f"/system-updates/{update.pk}/devices/"
    return pages | {name: prefix + query for name, query in STATUS.items()}


def percentile_and_queries(client, address):
    """Return the 95th percentile of the page's seconds, and its number of queries."""
    for _ in range(WARM):
        assert client.get(address).status_code == 200, address
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
        queries = len(captured)
    times = []
    for _ in range(ROUNDS):
        begun = clock_of_pages()
        client.get(address)
        times.append(clock_of_pages() - begun)
    return sorted(times)[int(ROUNDS * 0.95) - 1], queries


def clock_of_pages():
    """SQLite works in this process: its processor time is what a page costs on a busy machine."""
    return time.process_time() if connection.vendor == "sqlite" else time.perf_counter()


def measured(act):
    """Return the least seconds of three tries, each taken back."""
    times = []
    for _ in range(3):
        with transaction.atomic():
            begun = clock_of_pages()
            act()
            times.append(clock_of_pages() - begun)
            transaction.set_rollback(True)
    return min(times)


def bare_assign(update, now):
    """One row and one event for each device, and nothing else."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO systemupdates_deviceupdate (update_id, device_id, state, wave, attempt,"
            " reason, changed_at) SELECT %s, id, 'assigned', 2, 1, '', %s FROM devices_device"
            " WHERE retired_at IS NULL",
            [update.pk, now],
        )
        bare_events(cursor, update, now)


def bare_events(cursor, update, now, only=""):
    cursor.execute(
        "INSERT INTO systemupdates_deviceupdateevent (device_update_id, state, reason, by_id, at)"
        " SELECT id, state, reason, NULL, %s FROM systemupdates_deviceupdate"
        f" WHERE update_id = %s {only}",
        [now, update.pk],
    )


def bare_move(update, chosen, state, now):
    """The same rows and events by two statements."""
    only = f"AND device_id IN ({', '.join(map(str, chosen))})"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE systemupdates_deviceupdate SET state = %s, changed_at = %s, reason = ''"
            f" WHERE update_id = %s {only}",
            [state, now, update.pk],
        )
        bare_events(cursor, update, now, only)


def actions_on_many(zone, server, by, now):
    """Yield each action with its seconds and those of the bare SQL."""
    update = actions.create_update(zone, name="V", initiating_server=server, by=by, now=now)
    actions.start_replication(update, sha256="cd" * 32, size=14_000, now=now)
    fresh = lambda: SystemUpdate.objects.select_related("zone").get(pk=update.pk)  # noqa: E731
    act = measured(lambda: actions.assign(fresh(), by=by, now=now))
    yield "assign to all", act, measured(lambda: bare_assign(update, now))
    actions.assign(fresh(), by=by, now=now)
    analyze()
    rows = DeviceUpdate.objects.filter(update=update, device__kind="workstation")
    chosen = list(rows.order_by("device").values_list("device", flat=True)[:MANY])
    devices = list(Device.objects.filter(pk__in=range(min(chosen), max(chosen) + 1)).active())
    chosen = [device.pk for device in devices]
    act = measured(lambda: actions.ignore(fresh(), devices, by=by, now=now))
    yield (
        f"ignore {len(devices):,}",
        act,
        measured(lambda: bare_move(update, chosen, "ignored", now)),
    )
    actions.ignore(fresh(), devices, by=by, now=now)
    act = measured(lambda: actions.redeploy(fresh(), devices, by=by, now=now))
    yield (
        f"redeploy {len(devices):,}",
        act,
        measured(lambda: bare_move(update, chosen, "assigned", now)),
    )


def main(number):
    settings.ALLOWED_HOSTS, settings.SECRET_KEY = ["testserver"], "of the benchmark"
    call_command("migrate", verbosity=0)
    now = clock.now()
    zone = Zone.objects.create(name="BENCHMARK", created_at=now)
    by = User.objects.create_superuser("benchmark", password=None)
    folders.ensure_roots(zone)
    folders.ensure(zone, OSLO)
    server = Device.objects.create(zone=zone, name="ps1", kind="primary", enrolled_at=now)
    client = Client()
    client.force_login(by)
    found = []
    for begin, end in ((0, SMALL), (SMALL, number)):
        fill(zone, begin, end, now)
        update = assigned(zone, server, by, now)
        analyze()
        pages = addresses(update)
        found.append({name: percentile_and_queries(client, at) for name, at in pages.items()})
    print(f"{connection.vendor}; 95th percentile in ms; {SMALL:,} and {number:,} devices")
    for name, (few, queries) in found[0].items():
        many, as_many = found[1][name]
        print(
            f"{name:32} {few * 1000:7.1f} {many * 1000:7.1f}  ratio {many / few:5.2f}"
            f"  queries {queries} and {as_many}"
        )
    for name, act, bare in actions_on_many(zone, server, by, now):
        print(f"{name:32} {act * 1000:7.0f} {bare * 1000:7.0f}  ratio {act / bare:5.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
