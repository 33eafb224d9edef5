import hashlib
import io
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from agent import pem
from agent.content import ContentError
from agent.home import Home, HomeError


def sent_by(home):
    return pem.split(home.server_pem.read_bytes())


def names_in(home, folder):
    return sorted(path.name for path in (home.path / folder).iterdir())


def test_installed_pair_can_be_loaded_by_a_listener(home, install):
    install(home)

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(home.server_pem)
    assert home.live().leaf_sha256 == pem.fingerprint(home.server_pem.read_bytes())
    assert home.live().operation is None


def test_home_and_keys_are_readable_by_their_owner_only(home, install, stage):
    install(home)
    stage(home)
    home.write_secret("secrets/token", b"x")

    folders = [home.path, *(path for path in home.path.rglob("*") if path.is_dir())]
    secrets = ["security/server.pem", "security/server.key", "remint-repo/key.der", "secrets/token"]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {(home.path / name).stat().st_mode & 0o777 for name in secrets} == {0o600}


def test_key_of_another_certificate_is_refused_and_changes_nothing(home, zone, install, make_key):
    install(home)
    before = home.server_pem.read_bytes()

    with pytest.raises(HomeError, match="does not belong"):
        home.install(key_der=make_key(), chain_pem=before, ca_pem=zone.old.pem)

    assert home.server_pem.read_bytes() == before


def test_future_key_is_made_once_for_an_operation(home, make_key):
    first = home.future_key("one", make_key)

    assert home.future_key("one", make_key) == first
    assert home.future_key("two", make_key) != first


def test_leftover_of_another_operation_is_removed(home, install, stage, make_key):
    install(home)
    stage(home)

    home.future_key("another", make_key)

    assert names_in(home, "remint-repo") == ["key.der", "operation"]
    assert home.staged() is None


def test_chain_sent_in_each_phase(home, zone, install, stage):
    install(home)
    (old_leaf,) = sent_by(home)
    stage(home)
    assert sent_by(home) == [old_leaf]

    home.arm(zone.operation, zone.envelope())
    assert sent_by(home) == [old_leaf, *pem.split(zone.bridge)]

    staged = home.staged()
    assert home.activate(zone.operation) is True
    assert sent_by(home) == [*pem.split(staged.chain_pem), *pem.split(zone.link)]

    home.retire()
    assert sent_by(home) == pem.split(staged.chain_pem)
    assert names_in(home, "previous") == []


def test_root_is_never_sent(home, zone, install, stage):
    install(home)
    stage(home)

    home.activate(zone.operation)

    assert zone.new.pem not in sent_by(home)


def test_activate_keeps_what_was_live_and_empties_remint_repo(home, zone, install, stage):
    install(home)
    old_leaf = sent_by(home)[0]
    stage(home)

    home.activate(zone.operation)

    assert (home.path / "previous/server.cer").read_bytes() == old_leaf
    assert (home.path / "security/ca.cert").read_bytes() == zone.new.pem
    assert names_in(home, "remint-repo") == []
    assert home.live().operation == zone.operation


def test_everything_may_be_said_twice(home, zone, install, stage, make_key):
    install(home)
    stage(home)
    staged = home.staged()
    home.activate(zone.operation)

    assert home.activate(zone.operation) is False
    home.arm(zone.operation, zone.envelope())
    home.stage(
        zone.operation,
        chain_pem=staged.chain_pem,
        ca_pem=zone.new.pem,
        link_pem=None,
        bridge_pem=None,
    )
    assert home.staged() is None
    with pytest.raises(HomeError, match="in use already"):
        home.future_key(zone.operation, make_key)


def test_nothing_staged_cannot_be_armed_or_activated(home, zone, install, make_key):
    install(home)
    home.future_key(zone.operation, make_key)

    with pytest.raises(HomeError, match="not on this server"):
        home.arm(zone.operation, b"{}")
    with pytest.raises(HomeError, match="not on this server"):
        home.activate(zone.operation)


def test_clean_leaves_what_was_there_before(home, zone, install, stage):
    install(home)
    before = home.server_pem.read_bytes()
    stage(home)
    home.arm(zone.operation, zone.envelope())

    home.clean("another")
    assert home.staged() is not None
    home.clean(zone.operation)

    assert home.server_pem.read_bytes() == before
    assert names_in(home, "remint-repo") == []


def test_clean_before_a_switch_goes_back_to_the_link_of_the_last_one(home, zone, install, stage):
    install(home)
    stage(home)
    home.activate(zone.operation)
    before = home.server_pem.read_bytes()
    key = load_der_private_key(home.future_key("next", lambda: _key_der(home)), None)
    home.stage(
        "next",
        chain_pem=zone.old.issue(key),
        ca_pem=zone.old.pem,
        link_pem=zone.bridge,
        bridge_pem=zone.link,
    )
    home.arm("next", zone.envelope())

    home.clean(None)

    assert home.server_pem.read_bytes() == before


def test_rolled_back_home_shows_what_was_before_and_the_link_it_is_given(
    home, zone, install, stage
):
    install(home)
    old, before = home.live().leaf_sha256, (home.path / "security/server.key").read_bytes()
    stage(home)
    home.activate(zone.operation)
    new = home.live().leaf_sha256

    assert home.roll_back("another", link_pem=None) is False
    assert home.roll_back(zone.operation, link_pem=zone.bridge) is True
    assert home.roll_back(zone.operation, link_pem=zone.bridge) is False

    assert (home.live().leaf_sha256, home.live().operation) == (old, None)
    assert (home.path / "security/server.key").read_bytes() == before
    assert sent_by(home)[1:] == pem.split(zone.bridge)
    assert pem.fingerprint((home.path / "previous/rescue.pem").read_bytes()) == new


def test_nothing_to_go_back_to_is_said(home, zone, install, stage):
    install(home)
    stage(home)
    home.activate(zone.operation)
    home.retire()

    with pytest.raises(HomeError, match="no longer on this server"):
        home.roll_back(zone.operation, link_pem=None)


def test_link_is_what_was_set_last(home, zone, install):
    install(home)
    leaf = home.live().leaf_sha256

    assert home.set_link(zone.link, leaf_sha256=leaf) is True
    assert home.set_link(zone.link, leaf_sha256=leaf) is False
    assert sent_by(home)[1:] == pem.split(zone.link)
    assert home.set_link(None, leaf_sha256=leaf) is True
    assert sent_by(home)[1:] == []


def test_link_for_a_certificate_that_is_no_longer_live_is_not_sent(home, zone, install, stage):
    install(home)
    before = home.live().leaf_sha256
    stage(home)
    home.activate(zone.operation)
    sent = sent_by(home)

    assert home.set_link(None, leaf_sha256=before) is False
    assert sent_by(home) == sent


def test_only_the_ca_that_is_meant_is_forgotten(home, zone, install, stage):
    install(home)
    stage(home)
    home.activate(zone.operation)
    sent = sent_by(home)

    home.forget_previous(zone.new.pem)
    assert home.read_file("previous/ca.cert") == zone.old.pem

    home.forget_previous(zone.old.pem)
    assert home.read_file("previous/ca.cert") is None
    assert sent_by(home) == sent


def _key_der(home):
    return ssl.PEM_cert_to_DER_cert(
        (home.path / "security/server.key").read_text().replace("PRIVATE KEY", "CERTIFICATE")
    )


def test_fresh_certificate_on_the_same_ca_keeps_the_link(home, zone, install, stage, new_key):
    install(home)
    stage(home)
    home.activate(zone.operation)
    key = load_der_private_key(home.current_key(lambda: _key_der(home)), None)

    home.install(key_der=_key_der(home), chain_pem=zone.new.issue(key), ca_pem=zone.new.pem)

    assert sent_by(home)[1:] == pem.split(zone.link)
    assert not (home.path / "security/requested.der").exists()


def test_go_ahead_counts_only_with_the_pinned_key_and_for_what_is_staged(
    home, zone, install, stage
):
    install(home)
    stage(home)
    home.arm(zone.operation, zone.envelope(update=zone.update(armed=True)))

    assert home.armed(zone.public_key).operation == zone.operation
    assert home.armed(b"k" * 32) is None
    home.arm(zone.operation, zone.envelope(update=zone.update(armed=False)))
    assert home.armed(zone.public_key) is None


def test_anchors_are_replaced_as_a_set_and_other_aliases_stay(home, zone):
    home.write_file("security/trust-store/proxy.pem", b"mine")
    home.set_anchors([zone.old.pem, zone.new.pem])
    home.set_anchors([zone.new.pem])

    assert home.anchors() == [zone.new.pem]
    assert names_in(home, "security/trust-store") == [
        "proxy.pem",
        f"zone-ca-{zone.new.sha256[:16]}.pem",
    ]


def test_content_is_kept_only_if_its_checksum_and_size_are_right(home):
    sha256 = hashlib.sha256(b"content").hexdigest()

    with pytest.raises(ContentError, match="another checksum"):
        home.add_content(sha256, io.BytesIO(b"contents"))
    with pytest.raises(ContentError, match="More than 3 bytes"):
        home.add_content(sha256, io.BytesIO(b"content"), size=3)
    with pytest.raises(ContentError, match="7 of 8 bytes"):
        home.add_content(sha256, io.BytesIO(b"content"), size=8)
    assert names_in(home, "content-repo") == []
    assert home.add_content(sha256, io.BytesIO(b"content"), size=7) == 7
    assert home.content_items() == [sha256]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ""])
def test_file_outside_the_home_is_refused(home, name):
    with pytest.raises(HomeError, match="not inside"):
        home.write_file(name, b"x")


def test_unfit_checksum_is_refused(home):
    with pytest.raises(ContentError):
        home.has_content("../" + "0" * 61)


def test_repair_finishes_tidies_and_keeps(home, install):
    install(home)
    (home.path / "security" / ".server.pem.tmp").write_bytes(b"half")
    (home.path / "content-repo" / "incoming-x").write_bytes(b"half")
    home.server_pem.unlink()

    Home(home.path).repair()

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(home.server_pem)
    assert names_in(home, "content-repo") == []
    assert not (home.path / "security" / ".server.pem.tmp").exists()
