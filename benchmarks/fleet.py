"""
What 100,000 devices cost on the pages and in the actions on many, against 1,000 and bare SQL.

    python benchmarks/fleet.py [DEVICES]

It fills two databases of its own: files in temporary folders, or new ones on the PostgreSQL server
of DATABASE_URL. Two processes answer from them in turns, so that whatever else the machine does
befalls both. For each page it prints the 95th percentile of its time with 1,000 devices and with
all, their ratio (at most 1.2; who is at risk costs what a forecast's names do, 2,000 at most, which
the small zone has not) and the queries (the same). For each action on many it prints its
time, that of bare SQL that writes the same rows, taken in turns, and their ratio (at most 1.5).
"""

import atexit
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

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

from certificates.actions import forecasts  # noqa: E402
from certificates.models import (  # noqa: E402
    CertificateAuthority,
    Forecast,
    Operation,
    Straggler,
)
from devices import folders  # noqa: E402
from devices.models import Device, Zone  # noqa: E402
from systemupdates import actions  # noqa: E402
from systemupdates.chosen import ignore, redeploy  # noqa: E402
from systemupdates.models import DeviceUpdate, SystemUpdate  # noqa: E402
from zcc.ground import clock, counting  # noqa: E402

SMALL, MANY, ROUNDS, WARM, TRIES = 1000, 10_000, 60, 3, 7
OSLO = "/Workstations/Oslo"
DEVICES = {
    "devices": "",
    "devices, a folder": "?folder=workstations",
    "devices, a sub-folder": f"?in={OSLO}",
    "devices, text": "?q=device-0005",
    "devices, text of one": "?q=vice-{last}",
    "devices, text of none": "?q=no such device",
    "devices, a short text": "?q=0.",
    "devices, a role": "?role=authentication",
    "devices, Primary Servers": "?role=primary",
    "devices, silent for 30 days": "?contact=long",
    "devices, by last contact": "?sort=-contact",
    "devices, not heard of for a day, by last contact": "?contact=not&sort=contact",
    "devices, silent": "?contact=silent",
    "devices, silent, by last contact": "?contact=silent&sort=contact",
    "devices, servers by last contact": "?folder=servers&sort=contact",
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
    "status by device, text of one": "?q=vice-{last}",
    "status by device, by last contact": "?sort=-contact",
    "status by device, by change": "?sort=changed",
    "status by device, all together": f"?status=assigned&kind=workstation&folder={OSLO}&q=device-0",
    "status by device, a later page": "?after=device-000400~1",
    "status by device, at risk": "?only=at_risk",
}
# A count of many is kept for some seconds: so no more than one request in so many makes it anew.
ANEW = {"devices, counts made anew": "devices", "status, counts made anew": "status by device"}


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
    foresee(zone, update, server, by, now)
    return update


def foresee(zone, update, server, by, now):
    """Make the operation of the update, and its forecast: as many stragglers as it names."""
    facts = {"zone": zone, "created_at": now}
    old, new = (
        CertificateAuthority.objects.create(
            kind="internal", server=server, generation=n, state=state, **facts
        )
        for n, state in ((1, "active"), (2, "future"))
    )
    operation = Operation.objects.create(
        kind="remint",
        state="assigned",
        initiating_server=server,
        update=update,
        old_ca=old,
        new_ca=new,
        years=10,
        activate_at=now + timedelta(days=3),
        created_by=by,
        idempotency_key=uuid.uuid4(),
        **facts,
    )
    forecast = Forecast.objects.create(zone=zone, operation=operation, made_at=now, due_at=now)
    late = update.device_updates.filter(state="assigned").values_list("device", flat=True)
    rows = [Straggler(forecast=forecast, device_id=pk) for pk in late[: forecasts.NAMED]]
    Straggler.objects.bulk_create(rows)


def tidy():
    """What PostgreSQL does by itself some minutes after many rows were written; SQLite never."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")


def addresses(update, number):
    """The pages by their names; `last` is the last device that is not retired."""
    pages = {name: f"/devices/{query}" for name, query in DEVICES.items()}
    prefix = f"/system-updates/{update.pk}/devices/"
    pages |= {name: prefix + query for name, query in STATUS.items()}
    return {name: query.format(last=f"{number - 2:06}") for name, query in pages.items()}


def answer(client, words):
    """Return what a page takes, in seconds, or how many queries it makes when nothing is kept."""
    kind, address = words
    if kind != "page":
        counting.forget()
    if kind == "queries":
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200, address
        return len(captured)
    begun = clock_of_pages()
    client.get(address)
    return clock_of_pages() - begun


def clock_of_pages():
    """SQLite works in this process: its processor time is what a page costs on a busy machine."""
    return time.process_time() if connection.vendor == "sqlite" else time.perf_counter()


def measured(act, bare):
    """Return the least seconds of several tries of both, in turns, each taken back."""
    times = ([], [])
    for _ in range(TRIES):
        for found, do in zip(times, (act, bare), strict=True):
            with transaction.atomic():
                begun = clock_of_pages()
                do()
                found.append(clock_of_pages() - begun)
                transaction.set_rollback(True)
    return [min(found) for found in times]


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
    act, bare = lambda: actions.assign(fresh(), by=by, now=now), lambda: bare_assign(update, now)
    yield "assign to all", *measured(act, bare)
    actions.assign(fresh(), by=by, now=now)
    tidy()
    rows = DeviceUpdate.objects.filter(update=update, device__kind="workstation")
    chosen = list(rows.order_by("device").values_list("device", flat=True)[:MANY])
    devices = list(Device.objects.filter(pk__in=chosen))
    for word, verb, state, minutes in (
        ("ignore", ignore, "ignored", 1),
        ("redeploy", redeploy, "assigned", 2),
    ):
        at = now + timedelta(minutes=minutes)  # none of them is done in the moment of another
        act = partial(verb, fresh(), devices, by=by, now=at)
        yield f"{word} {MANY:,}", *measured(act, partial(bare_move, update, chosen, state, at))
        act()


def serve(number):
    """Fill the database, and answer what is asked on the standard input."""
    settings.ALLOWED_HOSTS, settings.SECRET_KEY = ["testserver"], "of the benchmark"
    call_command("migrate", verbosity=0)
    now = clock.now()
    zone = Zone.objects.create(name="BENCHMARK", created_at=now)
    by = User.objects.create_superuser("benchmark", password=None)
    folders.ensure_roots(zone)
    folders.ensure(zone, OSLO, by=by, now=now)
    server = Device.objects.create(zone=zone, name="ps1", kind="primary", enrolled_at=now)
    client = Client()
    client.force_login(by)
    fill(zone, 0, number, now)
    pages = addresses(assigned(zone, server, by, now), number)
    tidy()
    print(connection.vendor, flush=True)
    for line in sys.stdin:
        kind, _, name = line.strip().partition(" ")
        if kind == "actions":
            for word, act, bare in actions_on_many(zone, server, by, now):
                print(f"{word:32} {act * 1000:7.0f} {bare * 1000:7.0f}  ratio {act / bare:5.2f}")
            print(flush=True)
        else:
            print(answer(client, (kind, pages[name])), flush=True)


class Server:
    """A process that answers from a database with so many devices."""

    def __init__(self, number, url):
        words = [sys.executable, __file__, "--serve", str(number)]
        environment = {**os.environ, **({"DATABASE_URL": url} if url else {})}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.vendor = self.line()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.line()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)


def databases(url):
    """Return the addresses of two new databases, which end with this process; none for SQLite."""
    if not url:
        return [None, None]
    found = []
    for word in ("few", "many"):
        name = f"zcc_benchmark_{word}_{os.getpid()}"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        atexit.register(drop, url, name)
        found.append(urlunsplit(urlsplit(url)._replace(path=f"/{name}")))
    return found


def drop(url, name):
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def percentile(times):
    return sorted(times)[int(len(times) * 0.95) - 1]


def main(number):
    few, many = (
        Server(devices, url)
        for devices, url in zip(
            (SMALL, number), databases(os.environ.get("DATABASE_URL")), strict=True
        )
    )
    print(f"{many.vendor}; 95th percentile in ms; {SMALL:,} and {number:,} devices")
    for name in (*DEVICES, *STATUS, *ANEW):
        kind, page = ("anew", ANEW[name]) if name in ANEW else ("page", name)
        for _ in range(WARM):
            queries = [server.ask("queries", page) for server in (few, many)]
            for server in (few, many):
                server.ask(kind, page)
        times = ([], [])
        for _ in range(ROUNDS):
            for found, server in zip(times, (few, many), strict=True):
                found.append(float(server.ask(kind, page)))
        of_few, of_many = map(percentile, times)
        print(
            f"{name:32} {of_few * 1000:7.1f} {of_many * 1000:7.1f}  ratio {of_many / of_few:5.2f}"
            f"  queries {queries[0]} and {queries[1]}",
            flush=True,
        )
    line = many.ask("actions")
    while line:
        print(line)
        line = many.line()
    for server in (few, many):
        server.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
