"""The processes of one Primary Server, as functions that return when the process is to end."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from django.core.wsgi import get_wsgi_application
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from gunicorn.app.base import BaseApplication
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent import serve
from devices import search_index
from zcc.celery import app as celery_app
from zcc.ground import here, ports
from zcc.ground.wire import CLIENT_CERTIFICATE
from zcc.processes import lost_channel, tls, tree

logger = logging.getLogger(__name__)


THREADS = 64  # with 32, as many clients stuck in a handshake held everyone up until its timeout
TASKS_AT_ONCE = 4


def pem(name: str) -> Path:
    """Return the file with the chain and key that the listeners of server `name` load."""
    return here.zcc_home() / "servers" / name / "security" / "server.pem"


def console(identity: here.Identity) -> None:
    """Serve the console over HTTPS."""
    _ensure_search_index()
    hot = tls.HotContext(pem(identity.name), tls.for_threads)
    serve_wsgi(host=identity.address, port=ports.CONSOLE, hot=hot)


def _ensure_search_index() -> None:
    """Look for the index that this version asks: Python's SQLite may be another one by now."""
    try:
        search_index.ensure(using=DEFAULT_DB_ALIAS)
    except DatabaseError:  # the console must come up, and searches without it
        logger.warning("The index of the devices' texts could not be made.", exc_info=True)
    finally:
        connections.close_all()  # no connection may be open in two processes


def serve_wsgi(
    *, host: str, port: int, hot: tls.HotContext, load: Callable[[], Any] = get_wsgi_application
) -> None:
    """Serve Django, or what `load` returns, over HTTPS with the certificate that is current."""
    Console(
        load,
        bind=f"{host}:{port}",
        worker_class="gthread",
        workers=1,
        threads=THREADS,
        worker_connections=1000,
        keepalive=15,
        timeout=60,
        graceful_timeout=3,
        certfile=str(hot.path),  # read by nobody; it makes gunicorn speak TLS
        ssl_context=lambda _config, _default: hot.current(),
        do_handshake_on_connect=False,
        control_socket_disable=True,
        preload_app=True,
        post_fork=lambda _server, worker: tree.die_with_parent(worker.ppid),
        errorlog="-",
        loglevel="warning",
    ).run()


class Console(BaseApplication):  # type: ignore[misc]
    """Gunicorn with its settings given as arguments."""

    def __init__(self, load: Callable[[], Any], **options: Any) -> None:
        self.application, self.options = load, options
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options; it calls this."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application; gunicorn calls this."""
        return self.application()


class ImpatientLoop(asyncio.SelectorEventLoop):
    """An event loop that gives up on a TLS handshake after seconds instead of a minute."""

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """Listen, with a limit for the handshake if there is one."""
        if kwargs.get("ssl") is not None:
            kwargs.setdefault("ssl_handshake_timeout", tls.HANDSHAKE_TIMEOUT)
        return await super().create_server(*args, **kwargs)


def device_api(identity: here.Identity) -> None:
    """Serve what devices call, over HTTPS."""
    run_asgi(device_api_server(identity))


def device_api_server(identity: here.Identity) -> uvicorn.Server:
    """Return the server for what devices call, which asks them for a certificate."""
    issuers = here.home(identity.name).path / here.ISSUERS
    factory = partial(tls.for_devices, issuers=issuers)
    hot = tls.HotContext(pem(identity.name), factory, beside=issuers)
    return asgi_server("zcc.device_api:app", host=identity.address, port=ports.DEVICE_API, hot=hot)


class WithClientCertificate(H11Protocol):
    """Hands on the certificate that a client showed in the handshake: uvicorn itself does not."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the certificate, in DER, into the `state` of each request of this connection."""
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        shown = connection.getpeercert(binary_form=True) if connection is not None else None
        if shown:
            self.app_state = {**self.app_state, CLIENT_CERTIFICATE: shown}


def serve_asgi(application: Any, *, host: str, port: int, hot: tls.HotContext) -> None:
    """Serve an ASGI application over HTTPS with the certificate that is current."""
    run_asgi(asgi_server(application, host=host, port=port, hot=hot))


def run_asgi(server: uvicorn.Server) -> None:
    """Run a server until it is told to stop, by a signal or by its `should_exit`."""
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        runner.run(server.serve())


def asgi_server(application: Any, *, host: str, port: int, hot: tls.HotContext) -> uvicorn.Server:
    """Return a server for an ASGI application, which is not running yet."""

    def context(_config: uvicorn.Config, _default: Callable[[], Any]) -> ssl.SSLContext:
        return tls.follow(hot)

    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        http=WithClientCertificate,
        ws="none",
        ssl_context_factory=context,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        backlog=1024,
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",
    )
    return uvicorn.Server(config)


def listener(identity: here.Identity) -> None:
    """Serve `/zenworks-setup`, content, the canary and the rescue port, without Django."""
    home = here.zcc_home() / "servers" / identity.name
    wanted = {
        "--setup": ports.SETUP,
        "--content": ports.CONTENT,
        "--canary": ports.CANARY,
        "--rescue": ports.RESCUE,
    }
    words = [word for flag, port in wanted.items() for word in (flag, str(port))]
    serve.main(["--home", str(home), "--address", identity.address, *words])


def worker(identity: here.Identity) -> None:
    """Carry out tasks: those of the zone, and those that only this server can do."""
    lost_channel.install()
    process = celery_app.Worker(
        hostname=f"worker@{identity.name}",
        queues=["zone", identity.queue],
        pool="threads",
        concurrency=TASKS_AT_ONCE,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    process.start()
    raise SystemExit(process.exitcode)


def beat(identity: here.Identity) -> None:
    """
    Send a tick each second.

    The schedule is in memory: its one entry is due at once after a start, so there is nothing that
    a kill -9 could damage.
    """
    celery_app.Beat(scheduler_cls=Ticker, loglevel="INFO", quiet=True).run()


class Ticker(Scheduler):  # type: ignore[misc]
    """Celery's scheduler, with one line where it would write two tracebacks a second."""

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send what is due; the next tick makes good for one that was not sent."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            logger.warning("%s", error)


def run(part: Callable[[here.Identity], None], identity: here.Identity) -> None:
    """Run a part as the server `identity`."""
    os.environ[here.VARIABLE] = identity.name
    part(identity)
