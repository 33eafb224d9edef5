"""
Connects again and again, as clients with different trust would, and writes down how it went.

    python -m tests.journeys.prober RECORD FOLDER ADDRESS:PORT ...

FOLDER holds one PEM file for each trust, such as old.pem; a trust is tried while its file exists.
For each trust and each port there is a new TCP and TLS session four times a second, verified with
the IP address against the certificate, without resumption. With three kinds of trust a port sees
one about every 80 ms; more would make a machine of two cores, which also runs the zone, measure
itself. For each port there is also one connection that is kept, with a request every 100 ms.
"""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

NEW_EVERY, KEPT_EVERY = 0.25, 0.1
TIMEOUT = 5.0
PATHS = {7443: "/health", 7444: "/device/ping", 8443: "/"}


class Prober:
    """The prober's process, and its record when it has ended."""

    def __init__(self, folder, places):
        self.record = folder / "record.jsonl"
        self.trust = folder / "trust"
        self.trust.mkdir()
        self.places = places
        self.process = None

    def trusting(self, name, pem):
        """From now on also try with the CAs in `pem`."""
        temporary = self.trust / f"{name}.new"
        temporary.write_text(pem)
        temporary.replace(self.trust / f"{name}.pem")

    def no_longer(self, name):
        (self.trust / f"{name}.pem").unlink()
        time.sleep(TIMEOUT / 5)  # what was begun with it ends before anything changes

    def start(self):
        words = [sys.executable, "-m", "tests.journeys.prober", self.record, self.trust]
        self.process = subprocess.Popen([*words, *self.places], cwd=Path(__file__).parents[2])

    def stop(self):
        self.process.terminate()
        try:
            assert self.process.wait(20) == 0, "the prober itself failed"
        finally:
            self.process.kill()

    def events(self):
        """Return what happened, in order of time."""
        lines = self.record.read_text().splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda event: event["at"])


def write(record, **event):
    record.write(json.dumps(event) + "\n")


async def connect(place, context):
    address, port = place.split(":")
    return await asyncio.open_connection(address, int(port), ssl=context, server_hostname=address)


async def new_sessions(record, path, place):
    """Try again and again; a context is made anew for each try so that nothing is resumed."""
    trust, due = path.stem, time.monotonic()
    while path.exists():
        at = time.time()
        try:
            context = ssl.create_default_context(cafile=str(path))
            async with asyncio.timeout(TIMEOUT):
                _, writer = await connect(place, context)
            issuer = str(writer.get_extra_info("peercert")["issuer"])
            write(record, at=at, what="new", place=place, trust=trust, issuer=issuer)
            writer.close()
        except (OSError, TimeoutError) as error:
            failed = f"{type(error).__name__}: {error}"
            write(record, at=at, what="new", place=place, trust=trust, error=failed)
        due = max(due + NEW_EVERY, time.monotonic() - 1)
        await asyncio.sleep(max(0, due - time.monotonic()))


async def one_kept(record, path, place):
    """Send one request after the other on one connection, until it breaks or the prober ends."""
    address, port = place.split(":")
    request = f"GET {PATHS[int(port)]} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
    reader, writer = await connect(place, ssl.create_default_context(cafile=str(path)))
    while True:
        at = time.time()
        try:
            writer.write(request)
            async with asyncio.timeout(TIMEOUT):
                await answer(reader)
            write(record, at=at, what="kept", place=place)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            failed = f"{type(error).__name__}: {error}"
            write(record, at=at, what="kept", place=place, error=failed)
            return
        await asyncio.sleep(KEPT_EVERY)


async def answer(reader):
    """Read one answer to its end; raise ValueError for one that says that something is broken."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if " 50" in head.splitlines()[0]:
        raise ValueError(head.splitlines()[0])
    lengths = [line.split(":")[1] for line in head.splitlines() if "content-length:" in line]
    await reader.readexactly(int(lengths[0]) if lengths else 0)


async def probe(record, folder, places):
    tasks, known = set(), set()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    while not over.is_set():
        for path in folder.glob("*.pem"):
            if path not in known:
                tasks |= {asyncio.create_task(new_sessions(record, path, p)) for p in places}
                if not known:
                    tasks |= {asyncio.create_task(one_kept(record, path, p)) for p in places}
                known.add(path)
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [end for end in ended if isinstance(end, Exception)]
    assert not broken, broken


def main(record, folder, *places):
    with Path(record).open("a", buffering=1) as file:
        asyncio.run(probe(file, Path(folder), places))


if __name__ == "__main__":
    main(*sys.argv[1:])
