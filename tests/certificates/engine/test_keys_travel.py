"""While passphrases, backups and keys travel, nobody reads them but the server they are for."""

import pytest

from certificates import backups, keys, role_moves, sealing_keys
from certificates.models import KeyRequest
from pki import backup, sealing
from pki import keys as pki_keys
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.keeping import (
    PASSPHRASE,
    ask_backup,
    ask_move,
    ask_restore,
    make_backup,
)
from tests.certificates.engine.test_secrets import everything_in_the_database, private_number
from zcc.ground import here


def secrets_of(living):
    ring = keys.ring(here.home("ps1"), living.zone)
    yield PASSPHRASE.encode()
    yield ring.update_key.private_bytes_raw()
    for key in ring.authorities.values():
        yield private_number(key)
        yield pki_keys.to_der(key)
    for name in SERVERS:
        yield here.home(name).read_file(sealing_keys.FILE)


def assert_nothing_is_readable(living):
    haystack = everything_in_the_database()
    assert living.ca.sha256.encode() in haystack  # it does find what is there
    needles = list(secrets_of(living))
    assert len(needles) == 7
    for needle in needles:
        assert needle not in haystack
        assert needle.hex().encode() not in haystack


def assert_only_opened_by(sealed, context, name):
    for other in SERVERS:
        if other != name:
            with pytest.raises(sealing.SealBroken):
                sealing_keys.unseal(sealed, context=context, home=here.home(other))
    return sealing_keys.unseal(sealed, context=context, home=here.home(name))


def test_passphrase_is_for_the_holder_and_the_backup_for_the_console(living):
    request = ask_backup(living, on="ps3")
    assert_nothing_is_readable(living)
    asked = bytes(request.sealed)
    assert assert_only_opened_by(asked, backups.asked(request), "ps1") == PASSPHRASE.encode()

    living.run()

    request.refresh_from_db()
    assert_nothing_is_readable(living)
    file = assert_only_opened_by(bytes(request.answer), backups.answer(request), "ps3")
    assert backup.read(file, PASSPHRASE).newest.guid == living.ca.guid


def test_backup_and_its_passphrase_are_for_the_server_that_is_to_restore_it(living):
    request = ask_restore(living, make_backup(living), to="ps2", on="ps3")

    assert_nothing_is_readable(living)
    opened = assert_only_opened_by(bytes(request.sealed), backups.asked(request), "ps2")
    assert backups.unpacked(opened)[0] == PASSPHRASE


def test_keys_that_move_are_for_the_new_server(living):
    request = ask_move(living, to="ps2", on="ps3")
    living.run(only="key_request", turns=1)

    request.refresh_from_db()
    assert request.state == "sent"
    assert_nothing_is_readable(living)
    opened = assert_only_opened_by(bytes(request.sealed), role_moves.sealed_for(request), "ps2")
    ours = keys.ring(here.home("ps1"), living.zone)
    assert keys.Ring.from_bytes(opened).authorities.keys() == ours.authorities.keys()


def test_what_was_sealed_for_one_request_opens_in_no_other(living):
    first, second = ask_backup(living), ask_backup(living)
    KeyRequest.objects.filter(pk=second.pk).update(sealed=first.sealed)

    living.run()

    second.refresh_from_db()
    assert (second.state, second.answer) == ("refused", None)
