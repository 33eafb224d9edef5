"""Looks for the private keys of a running zone, in every form, wherever they must not be."""

import base64
import json
import re
from types import SimpleNamespace
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from agent.home import Home
from certificates import keys
from pki import keys as pki_keys
from tests.journeys import answers
from tests.journeys.zone import PASSWORD, SATELLITES, SERVERS

# What a home keeps with the private key: of a server, and of a mobile.
PEM_FILES = ("security/server.pem", "previous/rescue.pem", "remint-repo/canary.pem")
IDENTITY = "identity/identity.pem"

LINE_END = re.compile(rb"\r|\n|\\r|\\n")  # also as JSON writes them
BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}")


def private_keys(zone):
    """Return the private numbers of every key in every home, as bytes, by where they are."""
    found = {}
    for name in (*SERVERS, *zone.devices):
        folder = zone.server_home(name) if name in SERVERS else zone.device_home(name)
        for file in (*PEM_FILES, IDENTITY):
            if (folder / file).exists():
                found[f"{name}/{file}"] = numbers(pki_keys.load((folder / file).read_bytes()))
    return found | _of_the_servers(zone) | _of_the_cas(zone)


def _of_the_servers(zone):
    """What lies in each server's own folder for secrets: its key-encryption key, and others."""
    paths = [path for name in SERVERS for path in (zone.server_home(name) / "secrets").iterdir()]
    return {f"{path.parts[-3]}/secrets/{path.name}": [path.read_bytes()] for path in paths}


def _of_the_cas(zone):
    """CA keys, identity CA keys and the update key, opened by the server in whose home each is."""
    row = SimpleNamespace(guid=UUID(str(zone.one("SELECT guid FROM devices_zone"))))
    found = {}
    for home in (Home(zone.server_home(name)) for name in SERVERS):
        if keys.has_update_key(home, row):
            found["update key"] = numbers(keys.load_update_key(home, row))
        for path in (home.path / "ca").glob("????????-????-*.key"):  # a CA's has only its id
            found[path.name] = numbers(keys.load_ca_key(home, row, UUID(path.stem)))
        for guid in keys.identity_keys(home):
            found[f"identity CA {guid}"] = numbers(keys.load_identity_key(home, row, guid))
    return found


def numbers(key):
    """Return what must not be seen of a private key: big-endian, without leading zeros."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return [key.private_bytes_raw()]
    private = key.private_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return [_bytes(private.d), _bytes(private.p), _bytes(private.q)]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return [_bytes(private.private_value)]


def _bytes(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def forms(secret):
    """
    Return the secret as it might be written: raw, hex, and Base64 at each of three offsets.

    A message's body is Base64 of text, so that of the hex is among them.
    """
    texts = [secret.hex().encode(), secret.hex().upper().encode()]
    for plain in (secret, texts[0]):
        for offset in range(3):
            whole = base64.b64encode(bytes(offset) + plain)
            texts.append(whole[4 if offset else 0 : -4])  # without what neighbours have a part in
    return [secret, *texts]


def places(zone):
    """
    Yield every place outside the servers' homes that was written, by name.

    Database, the broker's files, logs, every answer of a server to a device, and the homes of
    devices, without what is their own secret.
    """
    yield from _of_devices(zone)
    yield from ((answer.asked, answer.data) for answer in answers.heard(zone))
    for path in [*zone.home.glob("*"), *zone.home.glob("logs/*"), *zone.home.rglob("valkey/**/*")]:
        if path.is_file() and path.name != "welcome.json":  # that is for the one who set it up
            yield str(path.relative_to(zone.home)), path.read_bytes()
    for table in zone.database.tables():
        for row in zone.rows(f'SELECT * FROM "{table}"'):
            for value in row:
                yield table, _flat(value)


def _of_devices(zone):
    for name in sorted(set(zone.devices) - set(SATELLITES)):
        files = [path for path in zone.device_home(name).rglob("*") if path.is_file()]
        for path in files:
            if path.parent.name != "identity":
                yield f"{name}/{path.name}", path.read_bytes()


def _flat(value):
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode()


def seen(zone, secrets, **heard):
    """Return where a secret was found outside the homes, or in what was heard, by its name."""
    needles = [(name, form) for name, found in secrets.items() for s in found for form in forms(s)]
    needles += [("password", PASSWORD.encode()), ("a key in PEM", b"PRIVATE KEY-----M")]
    looked_at = {(place, text) for place, data in _all(zone, heard) for text in readings(data)}
    return sorted(
        {(name, place) for place, text in looked_at for name, form in needles if form in text}
    )


def _all(zone, heard):
    yield from places(zone)
    yield from heard.items()


def readings(data, depth=2):
    """
    Return the data, the same without line ends, and what is in it as Base64.

    A PEM has line ends within its Base64, and a manifest has its PEMs in one that is Base64.
    """
    joined = LINE_END.sub(b"", data)
    found = {data, joined}
    for run in BASE64.findall(joined) if depth else ():
        found |= readings(base64.b64decode(run[: len(run) // 4 * 4]), depth - 1)
    return found
