"""Whether a file counts as sent, on the console's real server and over real connections."""

import socket
import ssl
import time
from functools import partial

import pytest

from tests.ports import free_port
from tests.zcc.certificates import write_pem
from tests.zcc.test_tls import REQUEST
from zcc.ground import sending
from zcc.processes import parts, tls, tree

DATA = bytes(40_000)  # as a backup: the buffers of the system take it whole


class Told:
    """An answer that tells when its file has arrived, and when it is over."""

    def __init__(self, log, connection):
        self.log = log
        self.pieces = sending.in_pieces(DATA, connection, lambda: self.tell("arrived"))

    def __iter__(self):
        return self.pieces

    def close(self):
        self.tell("over")

    def tell(self, word):
        with self.log.open("a") as log:
            log.write(f"{word}\n")


def application(log, environ, start_response):
    start_response("200 OK", [("Content-Length", str(len(DATA)))])
    return Told(log, environ["gunicorn.socket"])


def run(pem, port, log):
    hot = tls.HotContext(pem, tls.for_threads)
    parts.serve_wsgi(host="127.0.0.1", port=port, hot=hot, load=lambda: partial(application, log))


@pytest.fixture
def port(tmp_path):
    pem, port = tmp_path / "server.pem", free_port()
    write_pem(pem, 1)
    child = tree.Child(
        name="server", run=partial(run, pem, port, tmp_path / "told"), log=tmp_path / "server.log"
    )
    child.start()
    until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
    yield port
    child.ask_to_stop()
    child.wait_until(time.monotonic() + 10)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def download(port, *, most):
    """Read so many bytes at most, and hang up; a small window, as over a slow line."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    plain.connect(("127.0.0.1", port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(plain) as connection:
        connection.sendall(REQUEST)
        count = 0
        while count < most and (piece := connection.recv(min(1024, most - count))):
            count += len(piece)
    return count


def told(folder):
    log = folder / "told"
    until(lambda: log.exists() and "over" in log.read_text())
    return log.read_text().split()


def test_file_that_is_read_to_its_end_has_arrived(port, tmp_path):
    assert download(port, most=10**6) > len(DATA)

    assert told(tmp_path) == ["arrived", "over"]


def test_file_whose_reader_hangs_up_has_not(port, tmp_path):
    assert download(port, most=1024) == 1024

    assert told(tmp_path) == ["over"]
