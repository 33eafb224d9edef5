"""What is put into remint-repo by hand: taken, or refused by name; and what is staged of it."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent import pairs, pem, remint_repo
from agent.home import HomeError
from tests.agent.zone import key_to_der


@pytest.fixture
def folder(home, zone):
    """A home's remint-repo, kept for an operation, with a certificate and its key in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    home.reserve(zone.operation)
    folder = home.path / "remint-repo"
    (folder / "server.pem").write_bytes(zone.new.issue(key) + zone.new.pem)
    (folder / "key.der").write_bytes(key_to_der(key))
    return folder


def stage(home, zone, **changes):
    known = {"ca_pem": zone.new.pem, "link_pem": zone.link, "bridge_pem": zone.bridge}
    home.stage(zone.operation, **(known | changes))


def test_both_files_are_found(home, zone, folder):
    found = home.put_by_hand(zone.operation)

    assert found.name == "server.pem"
    assert found.certificate == (folder / "server.pem").read_bytes()
    assert found.key == (folder / "key.der").read_bytes()


def test_nothing_is_found_for_another_operation_or_in_an_empty_folder(home, zone):
    home.reserve(zone.operation)

    assert home.put_by_hand(zone.operation) is None
    assert home.put_by_hand("another") is None


@pytest.mark.parametrize("ending", ["der", "cer", "crt", "p7b", "pem", "cert"])
def test_every_name_of_the_manual_is_looked_for(home, zone, folder, ending):
    (folder / "server.pem").rename(folder / f"server.{ending}")

    assert home.put_by_hand(zone.operation).name == f"server.{ending}"


def link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def device(path):
    path.unlink()
    os.mknod(path, 0o20600, os.makedev(1, 5))  # /dev/zero


def huge(path):
    with path.open("r+b") as file:
        file.truncate(100 * 1024 * 1024)


ODD = {
    "is a symbolic link": link,
    "is a named pipe": pipe,
    "is a device": device,
    "is a folder": lambda path: (path.unlink(), path.mkdir()),
    "is larger than": huge,
    "belongs to another user": lambda path: os.chown(path, 12345, 12345),
    "can be written to by others": lambda path: path.chmod(0o620),
}


@pytest.mark.parametrize("name", ["server.pem", "key.der"])
@pytest.mark.parametrize("sentence", ODD)
def test_odd_file_is_refused_by_name(home, zone, folder, name, sentence):
    if ODD[sentence] is device or "another user" in sentence:
        os.geteuid() == 0 or pytest.skip("only root can make it")
    ODD[sentence](folder / name)

    with pytest.raises(HomeError, match=f"{name} .*{sentence}"):
        home.put_by_hand(zone.operation)


def test_two_certificates_are_no_choice(home, zone, folder):
    (folder / "server.p7b").write_bytes(b"x")

    with pytest.raises(HomeError, match=r"holds server\.p7b and server\.pem"):
        home.put_by_hand(zone.operation)


def test_folder_that_others_can_write_to_is_refused(home, zone, folder):
    folder.chmod(0o777)

    with pytest.raises(HomeError, match="remint-repo can be written to by others"):
        home.put_by_hand(zone.operation)


@pytest.mark.parametrize(("gone", "left"), [("key.der", "server.pem"), ("server.pem", "key.der")])
def test_one_without_the_other_is_said(home, zone, folder, gone, left):
    (folder / gone).unlink()

    with pytest.raises(HomeError, match=f"^{left} is in remint-repo"):
        home.put_by_hand(zone.operation)


def test_exchange_for_a_link_while_it_is_read_is_not_followed(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    (folder / "key.der").unlink()
    (folder / "key.der").symlink_to("/etc/passwd")

    with pytest.raises(OSError, match="Too many levels"):
        os.open("key.der", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=descriptor)
    with pytest.raises(remint_repo.Refused):
        remint_repo.find(folder, ours=None)
    os.close(descriptor)


# What the home makes of it


def test_reservation_keeps_what_was_put_there_before(home, zone, folder):
    (folder / "operation").unlink()

    home.reserve(zone.operation)

    assert home.put_by_hand(zone.operation) is not None


def test_reservation_removes_what_another_operation_left(home, zone, make_key):
    home.future_key("another", make_key)

    home.reserve(zone.operation)

    assert os.listdir(home.path / "remint-repo") == ["operation"]


def test_pipe_in_remint_repo_stops_nobody(home, zone, install, folder):
    pipe(folder / "server.pem")
    os.mkfifo(folder / "server.cer")

    install(home)
    home.clean(zone.operation)

    assert home.live() is not None
    assert os.listdir(folder) == []


def test_staging_makes_server_cer_of_what_was_there(home, zone, folder):
    found = home.put_by_hand(zone.operation)
    stage(home, zone, chain_pem=found.certificate, key_der=found.key)

    assert not (folder / "server.pem").exists()
    assert pem.split((folder / "server.cer").read_bytes()) == pem.split(found.certificate)[:1]
    again = home.put_by_hand(zone.operation)
    assert again.name == "server.cer"


def test_files_beside_what_is_staged_do_not_matter_to_the_activation(home, zone, install, folder):
    install(home)
    found = home.put_by_hand(zone.operation)
    stage(home, zone, chain_pem=found.certificate, key_der=found.key)
    (folder / "server.cer").write_bytes(b"something else")
    (folder / "key.der").unlink()

    home.activate(zone.operation)

    assert home.live().leaf_sha256 == pem.fingerprint(found.certificate)


def test_handshake_proves_key_and_certificate(home, zone, folder, make_key):
    found = home.put_by_hand(zone.operation)

    home.prove_pair(found.certificate, found.key)

    with pytest.raises(pairs.PairError, match="does not belong"):
        home.prove_pair(found.certificate, make_key())


# Requests that replace one before


def test_newer_request_has_a_key_of_its_own_and_an_older_one_is_refused(home, zone, make_key):
    first = home.future_key(zone.operation, make_key)
    second = home.future_key(zone.operation, make_key, request=1)

    assert first != second == home.future_key(zone.operation, make_key, request=1)
    with pytest.raises(HomeError, match="newer request"):
        home.future_key(zone.operation, make_key)
    assert home.future_key(zone.operation, make_key, request=1) == second


def test_newer_request_removes_what_was_staged_for_the_one_before(home, zone, folder, make_key):
    found = home.put_by_hand(zone.operation)
    stage(home, zone, chain_pem=found.certificate, key_der=found.key)

    home.future_key(zone.operation, make_key, request=1)

    assert home.staged() is None
    assert sorted(os.listdir(folder)) == ["key.der", "operation", "request"]
