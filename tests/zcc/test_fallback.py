"""A server that is armed switches on time with neither database nor broker."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.home import Home
from tests.zcc.certificates import make_pair
from zcc.processes import server

OPERATION = "8d1e0000-0000-4000-8000-000000000001"
ACTIVATE_AT = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)


def private_der(key):
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def update_key():
    return Ed25519PrivateKey.generate()


def go_ahead(update_key, anchor):
    """The signed manifest that allows the switch at ACTIVATE_AT."""
    payload = json.dumps(
        {
            "version": 1,
            "zone": "zone",
            "epoch": 2,
            "issued_at": "2026-12-01T02:50:00Z",
            "expires_at": "2027-12-01T02:50:00Z",
            "anchors": [anchor.decode()],
            "update": {
                "id": "update",
                "name": "Remint CA",
                "content": {"sha256": "0" * 64, "size": 1},
                "operation": OPERATION,
                "new_anchor": "1" * 64,
                "old_anchor": "2" * 64,
                "activate_at": "2026-12-01T03:00:00Z",
                "armed": True,
                "activated": False,
            },
        }
    ).encode()
    signature = update_key.sign(b"zcc-trust-manifest-1\n" + payload)
    envelope = {"payload": payload, "signature": signature}
    return json.dumps({k: base64.b64encode(v).decode() for k, v in envelope.items()}).encode()


@pytest.fixture
def armed(tmp_path, update_key):
    """A home with a live certificate (serial 1), and an armed one (serial 2)."""
    home = Home(tmp_path / "ps1")
    home.make()
    key, chain = make_pair(1)
    home.install(key_der=private_der(key), chain_pem=chain, ca_pem=chain)
    key, chain = make_pair(2)
    home.future_key(OPERATION, lambda: private_der(key))
    home.stage(OPERATION, chain_pem=chain, ca_pem=chain, link_pem=None, bridge_pem=None)
    home.arm(OPERATION, go_ahead(update_key, chain))
    return home


def public(update_key):
    return update_key.public_key().public_bytes_raw()


@pytest.mark.parametrize(("late", "switches"), [(-1, False), (1, False), (2, True), (3600, True)])
def test_armed_server_switches_two_seconds_after_its_time(armed, update_key, late, switches):
    now = ACTIVATE_AT + timedelta(seconds=late)

    assert server.activate_if_due(armed, update_key=public(update_key), now=now) is switches
    assert (armed.live().operation == OPERATION) is switches


def test_server_switches_once(armed, update_key):
    now = ACTIVATE_AT + timedelta(seconds=5)

    switched = [
        server.activate_if_due(armed, update_key=public(update_key), now=now) for _ in range(3)
    ]

    assert switched == [True, False, False]


def test_go_ahead_of_another_key_is_not_followed(armed):
    stranger = public(Ed25519PrivateKey.generate())

    assert not server.activate_if_due(armed, update_key=stranger, now=ACTIVATE_AT + timedelta(1))
    assert armed.live().operation is None


def test_server_without_go_ahead_stays(tmp_path, update_key):
    home = Home(tmp_path / "ps1")
    home.make()

    assert not server.activate_if_due(home, update_key=public(update_key), now=ACTIVATE_AT)
