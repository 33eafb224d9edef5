"""Whoever reads the whole database, or a server's files, finds no key and no token in clear."""

import pytest
from django.db import connection

from certificates import joining, keys
from pki import keys as pki_keys
from tests.certificates.engine.conftest import SERVERS, new_server
from zcc.ground import clock, here


def everything_in_the_database():
    """All rows of all tables, as bytes: text as it is, binary columns both raw and as hex."""
    found = b""
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                for value in row:
                    is_binary = isinstance(value, bytes | memoryview)
                    raw = bytes(value) if is_binary else str(value).encode()
                    found += raw + b"\n" + raw.hex().encode() + b"\n"
    return found


def private_number(key):
    """The secret part of a key, as it would stand in any encoding of it."""
    return key.private_numbers().private_value.to_bytes(32, "big")


def needles(living, homes):
    operation = living.zone.operations.get()
    ps1 = homes["ps1"]
    for guid in (operation.guid, operation.old_ca.guid):
        yield private_number(keys.load_ca_key(ps1, living.zone, guid))
    yield keys.load_update_key(ps1, living.zone).private_bytes_raw()
    for home in homes.values():
        yield home.read_file(keys.KEK_FILE)
        yield private_number(pki_keys.from_der(home.read_file("remint-repo/key.der")))
        yield private_number(pki_keys.load(home.read_file("security/server.key")))


@pytest.fixture
def searched(living, homes):
    """A zone in mid-operation, with a server that has asked to join and one that has a token."""
    living.reach("assigned")
    token = joining.create_token(living.zone, home=homes["ps1"], now=clock.now())
    joining.ask(token, new_server(4), home=here.home("ps4"), now=clock.now())
    return living, token


def test_database_holds_no_key_and_no_token(searched, homes):
    living, token = searched
    haystack = everything_in_the_database()
    assert living.ca.sha256.encode() in haystack  # it does find what is there

    secrets = [*needles(living, homes), token.encode(), bytes.fromhex(token.split(".")[1])]

    assert len(secrets) == 14
    for secret in secrets:
        assert secret not in haystack
        assert secret.hex().encode() not in haystack


def test_keys_of_the_zone_lie_encrypted_and_for_their_user_alone(searched, homes):
    living, _ = searched
    clear = [
        *(
            private_number(keys.load_ca_key(homes["ps1"], living.zone, ca.guid))
            for ca in living.zone.authorities.all()
        ),
        keys.load_update_key(homes["ps1"], living.zone).private_bytes_raw(),
    ]

    for path in (homes["ps1"].path / "ca").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert not any(secret in path.read_bytes() for secret in clear)


@pytest.mark.parametrize("name", SERVERS[1:])
def test_other_servers_have_no_key_of_the_zone(searched, homes, name):
    assert not list((homes[name].path / "ca").iterdir())
