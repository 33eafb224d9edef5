"""
200 connected agents on one Primary Server: real processes, TLS, tokens and long polls.

    python benchmarks/agents.py [AGENTS]

In a throw-away zone it prints how soon `Refresh Device` for all of them has reached each, what the
console takes for a page meanwhile against at rest, and how many refreshes with nothing new a second
the server answers against how many calls of the endpoint that does nothing, in turns.
"""

import asyncio
import base64
import http.cookiejar
import json
import os
import re
import ssl
import statistics
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zcc.settings")

from agent import pem  # noqa: E402
from zcc.drill.zone import PASSWORD, ThrowAwayZone  # noqa: E402
from zcc.ground import ports  # noqa: E402

AT_ONCE = 16  # calls in flight when throughput is measured
ROUNDS = 5
PAGES = 40

REGISTER = """
import os; os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"; import django; django.setup()
from devices import actions
from devices.models import Zone
from zcc.ground import clock
zone = Zone.objects.get()
print(actions.create_registration_key(zone, name="benchmark", now=clock.now()))
"""
ASK_ALL = """
import os; os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"; import django; django.setup()
from devices import actions
from devices.models import Device
from zcc.ground import clock
import time
rows = Device.objects.filter(name__startswith="bench-")
print(time.time())
actions.ask_refresh(rows, now=clock.now())
"""


class Agents:
    """So many agents of one process; they say what the real one says, and keep nothing."""

    def __init__(self, address: str, context: ssl.SSLContext, number: int) -> None:
        self.address, self.context, self.number = address, context, number
        self.tokens: list[str] = []
        self.report: dict[str, object] = {}
        self.errors: list[str] = []

    async def call(self, path: str, body: object = None, token: str = "") -> dict[str, object]:
        """Make one call on a connection of its own, as an agent does; raise for no answer."""
        reader, writer = await asyncio.open_connection(
            self.address, ports.DEVICE_API, ssl=self.context, server_hostname=self.address
        )
        try:
            data = b"" if body is None else json.dumps(body).encode()
            method = "GET" if body is None else "POST"
            head = f"{method} {path} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n"
            head += f"Content-Length: {len(data)}\r\nAuthorization: Bearer {token}\r\n\r\n"
            writer.write(head.encode() + data)
            answer = await reader.read()
        finally:
            writer.close()
        start, _, content = answer.partition(b"\r\n\r\n")
        if start.split()[1] not in (b"200", b"204"):
            raise RuntimeError(f"{path}: {answer[:200]!r}")
        return json.loads(content) if content else {}

    async def enrol(self, key: str) -> None:
        """Join the zone, and refresh until there is nothing new."""
        for one in range(self.number):
            name = f"bench-{one:04}"
            fields = {"key": key, "kind": "workstation", "name": name, "addresses": ["10.9.0.1"]}
            joined = await self.call("/device/enrol", {**fields, "version": "1.0.0"})
            self.tokens.append(str(joined["token"]))
        manifest = json.loads(str(joined["manifest"]))
        published = json.loads(base64.b64decode(manifest["payload"]))
        trusted = [pem.fingerprint(anchor.encode()) for anchor in published["anchors"]]
        self.report = {"version": "1.0.0", "addresses": ["10.9.0.1"], "trust": sorted(trusted)}
        self.report |= {"epoch": published["epoch"], "steps": [], "roles": []}
        for token in self.tokens:
            answer = await self.refresh(token)
            assert answer["manifest"] is None, "there is something new"

    async def refresh(self, token: str) -> dict[str, object]:
        """Refresh with nothing new."""
        return await self.call("/device/refresh", self.report, token)

    async def wait(self, token: str) -> float:
        """Wait until asked to refresh, and refresh; return when that was answered."""
        answer: dict[str, object] = {}
        while not answer.get("refresh"):
            answer = await self.call("/device/wait", {}, token)
        await self.refresh(token)
        return time.time()

    async def a_second(self, call: object) -> float:
        """Return how many of these calls a second are answered."""
        tokens = iter(self.tokens)

        async def work() -> None:
            for token in tokens:
                await call(token)  # type: ignore[operator]

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return self.number / (time.perf_counter() - began)


class Console:
    """An administrator's browser."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self.url = f"https://{address}:{ports.CONSOLE}"
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(
            cookies, urllib.request.HTTPSHandler(context=context)
        )
        self.opener.addheaders = [("Referer", self.url)]
        page = self.opener.open(f"{self.url}/login/").read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]  # type: ignore[index]
        fields = {"csrfmiddlewaretoken": token, "username": "admin", "password": PASSWORD}
        self.opener.open(f"{self.url}/login/", urllib.parse.urlencode(fields).encode())

    def seconds(self) -> float:
        """Return what a page of the devices list takes."""
        began = time.perf_counter()
        assert b"bench-0001" in self.opener.open(f"{self.url}/devices/").read()
        return time.perf_counter() - began

    def p95(self) -> float:
        """Return the 95th percentile of several pages."""
        return statistics.quantiles([self.seconds() for _ in range(PAGES)], n=20)[-1]


async def measure(zone: ThrowAwayZone, agents: Agents, console: Console) -> None:
    """Print what there is to be seen."""
    at_rest = await asyncio.to_thread(console.p95)
    waiting = [asyncio.create_task(agents.wait(token)) for token in agents.tokens]
    await asyncio.sleep(3)
    parked = await asyncio.to_thread(console.p95)
    script = await asyncio.to_thread(zone.python, "-c", ASK_ALL)
    asked = float(script.splitlines()[-1])
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [end for end in ended if not isinstance(end, float)]
    took = sorted(end - asked for end in ended if isinstance(end, float))
    print(f"{agents.number} agents wait; errors: {len(errors)} {errors[:1] or ''}")
    print(f"Refresh Device reached half in {took[len(took) // 2]:.2f} s, all in {took[-1]:.2f} s")
    print(
        f"A page, 95th percentile: {1000 * parked:.0f} ms, at rest {1000 * at_rest:.0f} ms, "
        f"ratio {parked / at_rest:.2f}"
    )
    ratios = []
    for _ in range(ROUNDS):
        nothing = await agents.a_second(lambda token: agents.call("/device/ping"))
        refreshes = await agents.a_second(agents.refresh)
        ratios.append(refreshes / nothing)
        print(f"  {refreshes:.0f} refreshes a second, {nothing:.0f} calls that do nothing")
    print(f"Refreshes with nothing new against nothing: {statistics.median(ratios):.2f}")


def main(number: int) -> None:
    """Set up a zone, measure, and leave nothing behind."""
    zone = ThrowAwayZone(devices=(), prefix="zcc-benchmark-")
    try:
        zone.configure()
        zone.manage("migrate", "--verbosity", "0")
        zone.manage("setup_demo", "--network", zone.network)
        zone.start()
        context = ssl.create_default_context(
            cadata=(zone.server_home("ps1") / "security" / "ca.cert").read_text()
        )
        key = zone.python("-c", REGISTER).split()[-1]
        agents = Agents(zone.address("ps1"), context, number)
        asyncio.run(agents.enrol(key))
        asyncio.run(measure(zone, agents, Console(zone.address("ps1"), context)))
        zone.stop()
    finally:
        zone.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
