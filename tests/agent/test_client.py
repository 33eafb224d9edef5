import errno
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from agent import client
from agent.client import NoAnswer, Refused, Untrusted
from tests.agent.server import ContentServer
from tests.ports import free_port


def ping(server, anchors):
    return client.call(server.url, "/device/ping", context=client.trusting(anchors))


def test_answer_says_which_leaf_was_shown(server, zone):
    answer = ping(server, zone.old.pem)

    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", server.port)))
    assert answer.peer == client.hashlib.sha256(der).hexdigest()


def test_server_of_another_ca_is_not_trusted(server, zone):
    with pytest.raises(Untrusted, match="that we do not trust"):
        ping(server, zone.new.pem)


def test_link_brings_a_device_that_trusts_only_the_old_ca(server, zone):
    server.show(zone.new, zone.link)

    assert ping(server, zone.old.pem).body == {}
    assert ping(server, zone.new.pem).body == {}


def test_bridge_brings_a_device_that_trusts_only_the_new_ca(server, zone):
    server.show(zone.old, zone.bridge)

    assert ping(server, zone.old.pem).body == {}
    assert ping(server, zone.new.pem).body == {}


def test_address_that_is_not_in_the_certificate_is_not_trusted(server, zone):
    server.address = "127.0.0.9"
    server.show(zone.old)

    with pytest.raises(Untrusted, match="IP address mismatch"):
        ping(server, zone.old.pem)


def test_intermediate_in_the_trust_file_is_no_anchor(server, zone):
    """Python 3.13 would let a chain end there if it was left at its default."""
    server.show(zone.new)

    with pytest.raises(Untrusted):
        ping(server, zone.link)


def test_refusal_carries_its_sentence_and_when_to_come_again(server, zone):
    server.refusal = (429, {"error": "Too many at once."}, {"Retry-After": "7"})

    with pytest.raises(Refused, match="Too many at once") as caught:
        client.call(
            server.url,
            "/device/refresh",
            context=client.trusting(zone.old.pem),
            body=lambda peer: {},
        )
    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)


def test_broken_server_is_no_answer(server, zone):
    server.refusal = (503, {"error": "starting"})

    with pytest.raises(NoAnswer, match="status 503"):
        client.call(
            server.url, "/device/refresh", context=client.trusting(zone.old.pem), body=lambda _: {}
        )


@pytest.mark.parametrize("body", [b"[]", b"<html>", b"x" * (client.MAX_ANSWER + 1)])
def test_answer_that_is_none_is_no_answer(server, zone, body):
    server.get = lambda path: (200, body)

    with pytest.raises(NoAnswer):
        ping(server, zone.old.pem)


def test_next_server_is_asked(server, zone):
    nobody = f"https://127.0.0.1:{free_port()}"

    assert client.probe([nobody, server.url], zone.old.pem).server == server.url


def test_every_server_is_named_when_none_answers(server, zone):
    nobody = f"https://127.0.0.1:{free_port()}"

    with pytest.raises(Untrusted, match=f"{nobody} did not answer .*{server.url} shows"):
        client.probe([nobody, server.url], zone.new.pem)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://", "https://[", "x", "https://a:b"])
def test_address_that_is_none_is_no_answer(url):
    with pytest.raises(NoAnswer, match="is not an address"):
        client.probe([url], b"")


def test_server_that_drips_is_left():
    with dripping() as port:
        source = f"http://127.0.0.1:{port}"
        with client.content(source, "0" * 64, seconds=2) as response:
            received = sum(len(byte) for byte in iter(lambda: response.read(1), b""))

    assert 1 <= received < 100


def test_content_reasons():
    with ContentServer() as source:
        assert why_not(source) == "127.0.0.1 does not have it"
        source.status = 500
        assert why_not(source) == "127.0.0.1 answered with status 500"
    assert why_not(source) == "127.0.0.1 did not answer"


def test_what_its_caller_cannot_do_with_the_content_is_not_the_servers_fault():
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        ContentServer(**{"0" * 64: b"x"}) as source,
        pytest.raises(OSError, match="No space"),
        client.content(source.url, "0" * 64),
    ):
        raise full


def test_server_that_breaks_off_did_not_answer():
    arriving = client.Arriving(BrokenOff(), "ps1")

    with pytest.raises(NoAnswer, match="ps1 did not answer"):
        arriving.read(1)


class BrokenOff:
    def read(self, size):
        raise ConnectionResetError


def why_not(source):
    with pytest.raises(NoAnswer) as caught, client.content(source.url, "0" * 64):
        pass
    return str(caught.value)


@contextmanager
def dripping():
    """A server that sends one byte of a large answer every 50 ms."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener, stopped])
        thread.start()
        yield listener.getsockname()[1]
        stopped.set()
        thread.join()


def drip(listener, stopped):
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not stopped.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return
