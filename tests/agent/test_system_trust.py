"""The zone's CAs in the trust store of the operating system: Debian's own tool, another root."""

import shutil
import subprocess

import pytest

from agent import system_trust
from agent.system_trust import NoStore, Store, StoreError

pytestmark = pytest.mark.skipif(
    shutil.which("update-ca-certificates") is None, reason="needs update-ca-certificates"
)


@pytest.fixture
def root(tmp_path):
    """A throw-away root with one CA of its own in the store."""
    root = tmp_path / "root"
    for folder in ("usr/sbin", "usr/local/share/ca-certificates", "usr/share/ca-certificates"):
        (root / folder).mkdir(parents=True)
    for folder in ("etc/ssl/certs", "etc/ca-certificates/update.d"):
        (root / folder).mkdir(parents=True)
    (root / "etc/ca-certificates.conf").touch()
    (root / "usr/sbin/update-ca-certificates").touch()
    return root


def trusted(root):
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    return bundle.read_bytes().count(b"BEGIN CERTIFICATE") if bundle.exists() else 0


def verifies(root, leaf, tmp_path):
    """Whether OpenSSL trusts the leaf by the system's bundle."""
    (tmp_path / "leaf.pem").write_bytes(leaf)
    words = ["openssl", "verify", "-CAfile", root / "etc/ssl/certs/ca-certificates.crt"]
    ended = subprocess.run([*words, tmp_path / "leaf.pem"], capture_output=True)
    return ended.returncode == 0


def test_new_ca_is_taken_in_beside_the_old_one(root, zone, new_key, tmp_path):
    store, lines = system_trust.of_this_system(root), []

    store.follow([zone.old.pem], lines.append)
    before = verifies(root, zone.new.issue(new_key()), tmp_path)
    store.follow([zone.old.pem, zone.new.pem], lines.append)

    assert (before, verifies(root, zone.new.issue(new_key()), tmp_path)) == (False, True)
    assert trusted(root) == 2
    assert any("added" in line for line in lines)


def test_same_cas_again_change_nothing(root, zone):
    store = system_trust.of_this_system(root)
    store.follow([zone.old.pem], print)

    assert store.follow([zone.old.pem], print) is False


def test_off_takes_out_what_was_put_in_and_nothing_else(root, zone, home):
    other = root / "usr/local/share/ca-certificates/partner.crt"
    other.write_bytes(zone.old.pem)
    store = system_trust.of_this_system(root)
    system_trust.switch(home.path, True, [zone.new.pem], print, store=store)
    on = (system_trust.is_on(home.path), trusted(root))

    system_trust.switch(home.path, False, [zone.new.pem], print, store=store)

    assert (on, system_trust.is_on(home.path), trusted(root)) == ((True, 2), False, 1)
    assert other.exists()


def test_tool_that_fails_is_said(root, zone):
    store = Store(root / "usr/local/share/ca-certificates", ("false",))

    with pytest.raises(StoreError, match="false failed"):
        store.follow([zone.old.pem], print)


def test_unknown_system_is_said(tmp_path):
    with pytest.raises(NoStore, match=r"docs/system-trust\.md"):
        system_trust.of_this_system(tmp_path)


def test_red_hats_folder_is_used_where_its_tool_is(tmp_path, zone):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc/pki/ca-trust/source/anchors").mkdir(parents=True)
    tool = tmp_path / "usr/bin/update-ca-trust"
    tool.write_text("#!/bin/sh\n[ $1 = extract ]\n")
    tool.chmod(0o755)

    system_trust.of_this_system(tmp_path).follow([zone.new.pem], print)

    (stored,) = (tmp_path / "etc/pki/ca-trust/source/anchors").iterdir()
    assert stored.read_bytes() == zone.new.pem
