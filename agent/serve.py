"""
A small HTTP/1.1 listener: the setup page, content, and a Satellite's own TLS service.

GET and HEAD only, kept-alive connections, a time limit for every wait and a limit of connections.

    python -m agent.serve --home DIR --address A [--setup PORT] [--content PORT] [--tls PORT]
                          [--canary PORT] [--rescue PORT]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from agent import pages, rehearsal
from agent.home import Home
from agent.hot_context import HotContext
from agent.pages import Page, Site

SETUP_PORT, CONTENT_PORT, TLS_PORT = 7480, 7481, 8443
CANARY_PORT, RESCUE_PORT = 7445, 7446
_DEFAULTS = {
    "setup": SETUP_PORT,
    "content": CONTENT_PORT,
    "tls": TLS_PORT,
    "canary": CANARY_PORT,
    "rescue": RESCUE_PORT,
}
IDLE = 75.0  # seconds a kept-alive connection may say nothing
HANDSHAKE = 10.0
WRITE = 30.0  # seconds for one block
BLOCK = 64 * 1024
MAX_HEAD = 16 * 1024
MAX_CONNECTIONS = 512

# The other side has gone, or it said nothing, or this listener stops.
GONE = (OSError, EOFError, asyncio.TimeoutError, asyncio.CancelledError)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Port:
    """A port, what is at it, and for TLS the changing certificate."""

    number: int
    site: Site
    tls: HotContext | None = None


@dataclass(frozen=True)
class Request:
    """The head of a request, as far as it matters here."""

    method: str
    target: str
    keeps_alive: bool


class BadRequest(Exception):
    """What arrived is not a request this listener understands."""


class Listener:
    """Answers on `ports` of one address, from `start` until `stop`."""

    def __init__(
        self, address: str, ports: Sequence[Port], *, limit: int = MAX_CONNECTIONS
    ) -> None:
        self.address = address
        self.limit = limit  # of connections, on all ports together
        self.ports = ports
        self._servers: list[asyncio.AbstractServer] = []
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises OSError if an address or port cannot be had."""
        for port in self.ports:
            await self.listen(port)

    async def listen(self, port: Port) -> None:
        """Listen on this port, too, until `stop`. Raises OSError if it cannot be had."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connection(port.site, reader, writer)

        server = await asyncio.start_server(
            answer,
            self.address,
            port.number,
            limit=MAX_HEAD,
            backlog=256,
            ssl=port.tls.context if port.tls else None,
            ssl_handshake_timeout=HANDSHAKE if port.tls else None,
        )
        self._servers.append(server)

    async def stop(self) -> None:
        """Listen no more and end all connections."""
        for server in self._servers:
            server.close()
        while self._open:  # once is not enough: before Python 3.12, wait_for may swallow it
            for task in list(self._open):
                task.cancel()
            await asyncio.wait(self._open, timeout=0.05)

    async def _connection(
        self, site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= self.limit:
            writer.close()
            return
        self._open.add(task)
        try:
            await _converse(site, reader, writer)
        except GONE:
            pass
        finally:
            self._open.discard(task)
            writer.close()


async def _converse(site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after the other."""
    keeps_alive = True
    while keeps_alive:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE)
            request = parse(head)
        except (BadRequest, asyncio.LimitOverrunError):
            request = Request("GET", "", False)
        page = _page(site, request)
        keeps_alive = request.keeps_alive and page.status < 500
        with page.body:
            await _send(writer, page, keeps_alive, with_body=request.method != "HEAD")


def parse(head: bytes) -> Request:
    """Return the request in `head`. Raises BadRequest, also for one that brings a body."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest
    headers = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest
        headers[name.lower()] = value.strip().lower()
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequest
    keeps_alive = words[2] == "HTTP/1.1" and headers.get("connection") != "close"
    return Request(words[0], words[1], keeps_alive)


def _page(site: Site, request: Request) -> Page:
    if request.method not in ("GET", "HEAD"):
        return pages.text(405, "Only GET and HEAD are answered here.", Allow="GET, HEAD")
    path = pages.path_of(request.target)
    return pages.text(400, "That is not a request.") if path is None else site(path)


async def _send(
    writer: asyncio.StreamWriter, page: Page, keeps_alive: bool, *, with_body: bool
) -> None:
    headers = {
        **page.headers,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Connection": "keep-alive" if keeps_alive else "close",
    }
    if page.status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(page.size)
    lines = [f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    left = page.size if with_body else 0
    while left > 0:
        block = page.body.read(min(BLOCK, left))
        if not block:
            raise EOFError("the file became shorter")
        left -= len(block)
        writer.write(block)
        await asyncio.wait_for(writer.drain(), WRITE)
    await asyncio.wait_for(writer.drain(), WRITE)


class ListenerThread:
    """A listener in a thread, for a process whose main thread does something else."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Listen. Raises OSError if an address or port cannot be had."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listener.start(), self._loop).result()

    def stop(self) -> None:
        """Listen no more, and wait until the thread has ended."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._listener.stop()
        late = asyncio.all_tasks() - {asyncio.current_task()}  # accepted while it stopped
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def ports_of(
    home: Home,
    *,
    setup: int | None = None,
    content: int | None = None,
    tls: int | None = None,
    canary: int | None = None,
    rescue: int | None = None,
    log: Log,
) -> list[Port]:
    """Return the ports that are wanted: those that have a number."""
    ports = []
    if setup is not None:
        ports.append(Port(setup, pages.setup_site(home)))
    if content is not None:
        ports.append(Port(content, pages.content_site(home)))
    if tls is not None:
        hot = HotContext(home.server_pem, log=log)
        ports.append(Port(tls, pages.satellite_site, hot))
    if canary is not None:
        future = home.path / "remint-repo" / "canary.pem"
        beside = (rehearsal.DOMAIN, rehearsal.shown(home, log=log))
        hot = HotContext(future, log=log, comes_and_goes=True, beside=beside)
        ports.append(Port(canary, pages.canary_site, hot))
    if rescue is not None:
        previous = home.path / "previous" / "rescue.pem"
        hot = HotContext(previous, log=log, comes_and_goes=True)
        ports.append(Port(rescue, pages.rescue_site(home), hot))
    return ports


def main(argv: Sequence[str] | None = None) -> int:
    """Listen until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="agent.serve", description="Serve from a home.")
    parser.add_argument("--home", required=True)
    parser.add_argument("--address", required=True)
    for name, port in _DEFAULTS.items():
        parser.add_argument(f"--{name}", type=int, nargs="?", const=port, metavar="PORT")
    options = parser.parse_args(argv)
    wanted = {name: getattr(options, name) for name in _DEFAULTS}
    ports = ports_of(Home(options.home), **wanted, log=_print)
    if not ports:
        parser.error(f"name at least one of --{', --'.join(_DEFAULTS)}")
    try:
        asyncio.run(_serve(Listener(options.address, ports)))
    except OSError as error:
        print(f"Cannot listen on {options.address}: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


async def _serve(listener: Listener) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await listener.start()
    await stopped.wait()
    await listener.stop()


def _print(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
