"""Certificates are swapped under load, on the real servers, with real handshakes."""

import socket
import ssl
import threading
import time
from functools import partial

import pytest
from cryptography import x509

from tests.ports import free_port
from tests.zcc.certificates import write_pem
from zcc.processes import parts, tls, tree

SWAPS = 20
HALF_OPEN = 40
REQUEST = b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


async def asgi(scope, receive, send):
    """Answer 204 to everything."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def run_gunicorn(pem, port):
    parts.serve_wsgi(host="127.0.0.1", port=port, hot=tls.HotContext(pem, tls.for_threads))


def run_uvicorn(pem, port):
    hot = tls.HotContext(pem, tls.for_asyncio)
    parts.serve_asgi(asgi, host="127.0.0.1", port=port, hot=hot)


def ask(port, *, timeout=5.0):
    """Make a full handshake and send a request; return the open connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout))
    connection.sendall(REQUEST)
    return connection


def serial_shown(port, *, timeout=5.0):
    """Make a request; return the serial number of the certificate shown."""
    with ask(port, timeout=timeout) as connection:
        assert connection.recv(9) == b"HTTP/1.1 "
        der = connection.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


@pytest.fixture(params=[run_gunicorn, run_uvicorn], ids=["gunicorn", "uvicorn"])
def server(request, tmp_path):
    """A real server process, and the file with its certificate, which begins with serial 1."""
    pem, port = tmp_path / "server.pem", free_port()
    write_pem(pem, 1)
    child = tree.Child(
        name="server", run=partial(request.param, pem, port), log=tmp_path / "server.log"
    )
    child.start()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            serial_shown(port)
            break
        except OSError:
            time.sleep(0.05)
    yield pem, port
    child.ask_to_stop()
    child.wait_until(time.monotonic() + 10)


def is_closed(connection):
    """Wait for the server to give up on `connection`."""
    connection.settimeout(tls.HANDSHAKE_TIMEOUT + 5)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


class Clients:
    """Threads that make handshake after handshake, and what they saw."""

    def __init__(self, port, count=4):
        self.port, self.serials, self.errors = port, [], []
        self._stop, self._seen = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def see(self, serial):
        """Wait until one of them is shown this certificate; return whether it was in time."""
        deadline = time.monotonic() + 30
        while serial not in self.serials and time.monotonic() < deadline:
            self._seen.wait(0.1)
            self._seen.clear()
        return serial in self.serials

    def _run(self):
        while not self._stop.is_set():
            try:
                self.serials.append(serial_shown(self.port))
                self._seen.set()
            except (OSError, AssertionError) as error:
                self.errors.append(error)


def test_no_handshake_fails_while_certificates_are_swapped(server):
    pem, port = server

    with Clients(port) as clients:
        for serial in range(2, SWAPS + 2):
            write_pem(pem, serial)
            assert clients.see(serial)

    assert clients.errors == []


def test_new_connection_shows_the_new_certificate_at_once(server):
    pem, port = server

    for serial in range(2, SWAPS + 2):
        write_pem(pem, serial)
        assert serial_shown(port) == serial


def test_clients_that_never_say_goodbye_stop_nobody(server):
    _, port = server
    silent = [ask(port) for _ in range(10)]

    assert serial_shown(port, timeout=len(silent) * tls.HANDSHAKE_TIMEOUT / 2) == 1
    for connection in silent:
        connection.close()


def test_bad_file_leaves_the_last_good_certificate(server):
    pem, port = server

    pem.write_bytes(b"not a certificate")

    assert serial_shown(port) == 1


def test_half_open_handshakes_stop_nobody(server):
    _, port = server
    stuck = [socket.create_connection(("127.0.0.1", port)) for _ in range(HALF_OPEN)]
    for connection in stuck:
        connection.sendall(b"\x16\x03\x01")  # the beginning of a TLS record, and no more

    try:
        assert serial_shown(port, timeout=tls.HANDSHAKE_TIMEOUT - 1) == 1
        assert all(is_closed(connection) for connection in stuck)
    finally:
        for connection in stuck:
            connection.close()


def test_client_that_opens_a_connection_and_says_nothing_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "IO_TIMEOUT", 0.05)
    ours, theirs = socket.socketpair()
    write_pem(tmp_path / "server.pem", 1)
    context = tls.for_threads(tmp_path / "server.pem")
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    kept = []
    shaking = threading.Thread(target=lambda: kept.append(client.wrap_socket(theirs)), daemon=True)
    shaking.start()
    server = context.wrap_socket(ours, server_side=True)
    shaking.join()

    server.setblocking(True)
    with pytest.raises(ConnectionResetError):
        server.recv(1)
