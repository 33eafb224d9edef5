"""Whoever answers at a canary's address: only the new CA's own certificate proves anything."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from agent import client, pem, proof, trust
from tests.agent.test_device import assign, trusted, turns
from tests.agent.test_proof import ask_for_proof, last_proof, ready
from tests.agent.zone import Authority, key_to_der

__all__ = ["assign", "ready"]


@pytest.fixture
def canary(tmp_path, new_key):
    """Somebody who answers at a port with a certificate of `ca`; yields its URL."""

    @contextmanager
    def canary(ca, *links, address="127.0.0.1", ciphers=None, seen=None):
        key, file = new_key(), tmp_path / "canary.pem"
        file.write_bytes(ca.issue(key, address) + b"".join(links) + pem.key(key_to_der(key)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            words = [listener, context, [] if seen is None else seen]
            threading.Thread(target=answer, args=words, daemon=True).start()
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
            listener.shutdown(socket.SHUT_RDWR)

    return canary


def answer(listener, context, seen):
    """Answer every handshake and every request, until the listener is gone."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                seen.append(tls.session_reused)
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        except OSError:
            continue  # it was refused


def attempt(zone, *urls, anchors=None):
    wish = {"update": "u", "new_anchor": zone.new.sha256, "canaries": list(urls)}
    return proof.attempt(wish, anchors or [zone.old.pem, zone.new.pem], offset=0, at="now")


def test_canary_of_the_new_ca_proves(canary, zone):
    with canary(zone.new) as url:
        assert len(attempt(zone, url)["leaf"]) == 64


def test_ca_with_the_same_name_and_another_key_proves_nothing(canary, zone):
    with canary(Authority.make(generation="2")) as url:
        ended = attempt(zone, url)

    assert "leaf" not in ended
    assert ended["refused"] is True


@pytest.mark.parametrize("with_link", [False, True])
def test_live_certificate_proves_nothing_with_or_without_link(canary, zone, with_link):
    with canary(zone.old, *([zone.link] if with_link else [])) as url:
        ended = attempt(zone, url)

    assert "leaf" not in ended


def test_live_certificate_with_the_bridge_is_seen_through(canary, zone):
    with canary(zone.old, zone.bridge) as url:
        ended = attempt(zone, url)

    assert ended["problem"].endswith(f"{url} shows a certificate of the old CA.")
    assert ended["refused"] is False


def test_canary_of_another_address_proves_nothing(canary, zone):
    with canary(zone.new, address="127.0.0.9") as url:
        assert attempt(zone, url)["refused"] is True


def test_device_that_does_not_hold_the_new_ca_does_not_even_try(canary, zone):
    seen = []
    with canary(zone.new, zone.link, seen=seen) as url:
        ended = attempt(zone, url, anchors=[zone.old.pem])

    assert "There is no CA with the fingerprint" in ended["problem"]
    assert seen == []


def test_each_probe_is_a_handshake_of_its_own(canary, zone):
    seen = []
    with canary(zone.new, seen=seen) as url:
        first, second = attempt(zone, url), attempt(zone, url)

    assert first["leaf"] == second["leaf"]
    assert seen == [False, False]


def test_server_with_which_no_tls_can_be_spoken_has_been_refused(canary, zone):
    with canary(zone.new, ciphers="ECDHE-RSA-AES128-GCM-SHA256") as url:  # its key is no RSA key
        ended = attempt(zone, url)

    assert "cannot agree on a TLS connection" in ended["problem"]
    assert ended["refused"] is True


def test_server_that_is_away_has_not_been_refused(zone):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert attempt(zone, f"https://127.0.0.1:{port}")["refused"] is False


def test_trust_file_that_somebody_put_back_is_mended_before_it_proves(ready, server, zone, canary):
    device, _ = ready()
    device.home.write_file(trust.FILE, zone.old.pem)
    with canary(zone.new) as url:
        ask_for_proof(server, zone, url)
        turns(device, 4)

    assert trusted(device) == {zone.old.sha256, zone.new.sha256}
    assert "leaf" in last_proof(server)


def test_one_refusal_among_servers_that_are_away_is_told(canary, zone):
    with canary(Authority.make()) as url, pytest.raises(client.NoAgreement):
        client.probe(["https://127.0.0.1:1", url], zone.new.pem)
