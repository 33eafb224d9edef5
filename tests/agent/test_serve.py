import hashlib
import http.client
import io
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from agent import client, serve
from agent.serve import Listener, ListenerThread
from tests.agent.server import fingerprint_shown
from tests.ports import free_port


@contextmanager
def serving(home, log=print, **options):
    """Listen on three free ports; yield them by name."""
    ports = {name: free_port() for name in ("setup", "content", "tls")}
    thread = ListenerThread(
        Listener("127.0.0.1", serve.ports_of(home, **ports, log=log), **options)
    )
    thread.start()
    try:
        yield ports
    finally:
        thread.stop()


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read(), response


def ask(port, data):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(data)
        return connection.makefile("rb").readline().decode().strip()


def test_setup_page_and_its_files(home):
    home.write_file("zenworks-setup/index.html", b"<h1>Setup</h1>")
    home.write_file("zenworks-setup/agent.pyz", b"zip" * 100_000)
    with serving(home) as ports:
        redirect = get(ports["setup"], "/zenworks-setup")
        page = get(ports["setup"], "/zenworks-setup/")
        tool = get(ports["setup"], "/zenworks-setup/agent.pyz?x=1")

    assert (redirect[0], redirect[2].getheader("Location")) == (301, "/zenworks-setup/")
    assert page[:2] == (200, b"<h1>Setup</h1>")
    assert page[2].getheader("Content-Type") == "text/html; charset=utf-8"
    assert tool[:2] == (200, b"zip" * 100_000)


@pytest.mark.parametrize(
    "path",
    [
        "/zenworks-setup/../security/server.pem",
        "/zenworks-setup/%2e%2e%2fsecurity%2fserver.pem",
        "/zenworks-setup/..%00",
        "/zenworks-setup/.hidden",
        "/zenworks-setup/missing.txt",
        "/security/server.pem",
        "/content/x",
    ],
)
def test_nothing_else_is_given_away(home, install, path):
    install(home)
    home.write_file("zenworks-setup/.hidden", b"x")
    with serving(home) as ports:
        assert get(ports["setup"], path)[0] in (400, 404)


def test_content_is_found_by_its_checksum_only(home):
    sha256 = hashlib.sha256(b"package").hexdigest()
    home.add_content(sha256, io.BytesIO(b"package"))
    with serving(home) as ports:
        assert get(ports["content"], f"/content/{sha256}")[:2] == (200, b"package")
        assert get(ports["content"], f"/content/{'1' * 64}")[0] == 404
        assert get(ports["content"], "/content/../lock")[0] == 404
        assert get(ports["content"], f"/{sha256}")[0] == 404


def test_damaged_content_is_not_served_and_is_removed(home):
    sha256 = hashlib.sha256(b"package").hexdigest()
    (home.path / "content-repo" / sha256).write_bytes(b"Package")
    with serving(home) as ports:
        assert get(ports["content"], f"/content/{sha256}")[0] == 404

    assert not home.has_content(sha256)


def test_head_has_no_body_and_other_methods_are_refused(home):
    home.write_file("zenworks-setup/index.html", b"page")
    with serving(home) as ports:
        status, body, response = get(ports["setup"], "/zenworks-setup/", "HEAD")
        assert (status, body, response.getheader("Content-Length")) == (200, b"", "4")
        assert get(ports["setup"], "/", "DELETE")[0] == 405


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET x HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(home, request_bytes):
    with serving(home) as ports:
        assert ask(ports["setup"], request_bytes) == "HTTP/1.1 400 Bad Request"


def test_connection_is_kept_for_the_next_request(home):
    with serving(home) as ports:
        connection = http.client.HTTPConnection("127.0.0.1", ports["setup"], timeout=5)
        for _ in range(3):
            connection.request("GET", "/zenworks-setup/nothing")
            assert connection.getresponse().read()
            assert connection.sock is not None


def test_half_open_handshakes_stop_nobody(home, zone, install):
    install(home)
    with serving(home) as ports:
        silent = [socket.create_connection(("127.0.0.1", ports["tls"]), 5) for _ in range(40)]
        assert fingerprint_shown("127.0.0.1", ports["tls"]) == home.live().leaf_sha256
        for connection in silent:
            connection.close()


def test_certificate_is_swapped_without_losing_a_handshake(home, zone, install):
    install(home)
    context = client.trusting(zone.old.pem)
    failures, shown, stopped = [], set(), threading.Event()

    with serving(home) as ports:
        kept = http.client.HTTPSConnection("127.0.0.1", ports["tls"], context=context, timeout=5)
        kept.request("GET", "/")
        kept.getresponse().read()
        first = kept.sock
        thread = threading.Thread(
            target=shake_hands, args=[ports["tls"], context, stopped, shown, failures]
        )
        thread.start()
        for _ in range(50):
            install(home)
            time.sleep(0.02)
        stopped.set()
        thread.join()
        kept.request("GET", "/")
        assert (kept.getresponse().status, kept.sock) == (200, first)
        assert fingerprint_shown("127.0.0.1", ports["tls"]) == home.live().leaf_sha256

    assert failures == []
    assert len(shown) > 10


def shake_hands(port, context, stopped, shown, failures):
    while not stopped.is_set():
        try:
            shown.add(
                client.call(f"https://127.0.0.1:{port}", "/device/ping", context=context).peer
            )
        except client.NoAnswer as error:
            failures.append(str(error))


def test_no_session_ticket_is_given(home, zone, install):
    """A resumed session would not see the new certificate."""
    install(home)
    context = client.trusting(zone.old.pem)
    with serving(home) as ports:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            plain = socket.create_connection(("127.0.0.1", ports["tls"]), 5)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
                while tls.recv(4096):
                    pass
                assert tls.session is None or not tls.session.has_ticket


def test_damaged_pem_keeps_the_last_good_one_and_says_so_once(home, install):
    install(home)
    good, lines = home.live().leaf_sha256, []
    with serving(home, lines.append) as ports:
        assert fingerprint_shown("127.0.0.1", ports["tls"]) == good
        home.server_pem.write_bytes(b"garbage")
        for _ in range(3):
            assert fingerprint_shown("127.0.0.1", ports["tls"]) == good
        home.server_pem.unlink()
        assert fingerprint_shown("127.0.0.1", ports["tls"]) == good

    assert len(lines) == 1
    assert "last good one stays" in lines[0]


def test_port_waits_for_the_first_certificate(home, install):
    with serving(home) as ports:
        with pytest.raises(ssl.SSLError):
            fingerprint_shown("127.0.0.1", ports["tls"])
        install(home)
        assert fingerprint_shown("127.0.0.1", ports["tls"]) == home.live().leaf_sha256


def test_process_ends_cleanly_on_sigterm(home):
    port = free_port()
    command = [sys.executable, "-m", "agent.serve", "--home", str(home.path)]
    process = subprocess.Popen([*command, "--address", "127.0.0.1", "--setup", str(port)])
    try:
        wait_for(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_port_in_use_is_a_sentence(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "agent.serve", "--home", str(home.path)]
        done = subprocess.run(
            [*command, "--address", "127.0.0.1", "--content", port],
            capture_output=True,
            text=True,
            timeout=10,
        )

    assert done.returncode == 1
    assert done.stderr.startswith("Cannot listen on 127.0.0.1: ")
    assert done.stderr.count("\n") == 1


def test_port_that_is_full_turns_further_ones_away(home):
    with serving(home, limit=2) as ports:
        kept = [http.client.HTTPConnection("127.0.0.1", ports["setup"], timeout=5) for _ in "ab"]
        for connection in kept:
            connection.request("GET", "/nothing")
            connection.getresponse().read()
        with pytest.raises((OSError, AssertionError)):
            assert ask(ports["setup"], b"GET / HTTP/1.1\r\n\r\n")


def wait_for(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on {port}")
