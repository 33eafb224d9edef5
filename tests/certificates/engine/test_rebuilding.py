"""`setup_zone --from-backup`: the zone's database is gone, too."""

import json
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import connection

from agent import manifest
from certificates import keys, links, rebuilding, trust
from certificates.installing import CannotSetUp
from certificates.models import CertificateAuthority, ServerCertificate
from devices.models import Device, Zone
from pki import backup, chains, csr
from pki import keys as pki_keys
from tests.certificates.engine.beside_external import outside, retired
from tests.certificates.engine.conftest import new_server
from tests.certificates.engine.keeping import PASSPHRASE, make_backup
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock, here

__all__ = ["outside", "retired"]

TABLES = ["certificates_", "devices_", "systemupdates_", "auth_user"]


def lose_the_database():
    """Empty every table that the zone is in."""
    wanted = [
        table
        for table in connection.introspection.table_names()
        if any(table.startswith(prefix) for prefix in TABLES)
        and not table.startswith("devices_text")  # the database keeps that one itself
    ]
    connection.check_constraints()  # PostgreSQL empties no table with a check to come
    with connection.cursor() as cursor:
        for statement in connection.ops.sql_flush(no_style(), wanted, allow_cascade=True):
            cursor.execute(statement)


@pytest.fixture
def lost(living, tmp_path):
    """A backup of a zone in Overlap, whose database is gone; and the options to rebuild it."""
    living.reach("overlap")
    living.before = {
        "guid": living.zone.guid,
        "epoch": trust.published(living.zone).epoch,
        "anchors": [ca.x509() for ca in living.zone.authorities.order_by("generation")],
        "update_key": here.home("ps2").read_file(here.UPDATE_KEY),
    }
    (tmp_path / "backup.zip").write_bytes(make_backup(living))
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "password").write_text("long enough to be one")
    lose_the_database()
    return living


def rebuild(tmp_path, **changes):
    options = {
        "from_backup": str(tmp_path / "backup.zip"),
        "passphrase_file": str(tmp_path / "passphrase"),
        "server": "ps9",
        "dns": "ps9.test.zone",
        "address": ["127.99.0.9"],
        "admin": "admin",
        "password_file": str(tmp_path / "password"),
    }
    call_command("setup_zone", **(options | changes))
    return Zone.objects.get()


def test_zone_comes_back_with_its_name_its_cas_and_their_keys(lost, tmp_path):
    zone = rebuild(tmp_path)

    rows = CertificateAuthority.objects.order_by("generation")
    assert (zone.guid, zone.name) == (lost.before["guid"], "TEST-ZONE")
    assert list(rows.values_list("generation", "state", "server__name")) == [
        (1, "superseded", "ps9"),
        (2, "active", "ps9"),
    ]
    assert [row.x509() for row in rows] == lost.before["anchors"]
    assert set(keys.ring(here.home("ps9"), zone).authorities) == {row.guid for row in rows}


def test_who_trusts_only_the_oldest_ca_accepts_the_new_server(lost, tmp_path):
    zone = rebuild(tmp_path)

    leaf = ServerCertificate.objects.get(device__name="ps9")
    link = x509.load_pem_x509_certificate(links.for_leaf_of(leaf.authority))
    for anchor, chain in [
        (lost.before["anchors"][1], [leaf.x509()]),
        (lost.before["anchors"][0], [leaf.x509(), link]),
    ]:
        chains.check_server_chain(
            chain, None, wanted=["ps9.test.zone"], at=clock.now(), roots=[anchor]
        )
    assert zone.authorities.count() == len(here.home("ps9").anchors()) == 2


def test_devices_accept_its_first_manifest(lost, tmp_path):
    zone = rebuild(tmp_path)

    envelope = trust.published(zone).envelope.encode()
    read = manifest.read(envelope, lost.before["update_key"])
    manifest.check(
        read, zone=str(lost.before["guid"]), epoch=lost.before["epoch"] + 10**6, now=clock.now()
    )
    assert read.fingerprints() == sorted(
        CertificateAuthority.objects.values_list("sha256", flat=True)
    )


def test_second_rebuilding_is_told_apart_from_the_first(lost, tmp_path):
    contents = backup.read((tmp_path / "backup.zip").read_bytes(), PASSPHRASE)
    first = rebuilding.rebuild_zone(
        contents, new_server(8), home=here.home("ps8"), now=clock.now() - timedelta(minutes=30)
    )
    epoch = trust.published(first).epoch
    lose_the_database()

    assert trust.published(rebuild(tmp_path)).epoch > epoch


def test_another_server_joins_it(lost, tmp_path):
    zone = rebuild(tmp_path, server="ps1", dns="ps1.test.zone", address=["127.99.0.1"])
    lost.zone = zone
    lost.join(new_server(2))
    lost.run()

    assert Device.objects.filter(zone=zone).count() == 2
    assert ServerCertificate.objects.current().count() == 2
    assert json.loads((tmp_path / "welcome.json").read_text())["admin"] == "admin"
    ssl.create_default_context().load_cert_chain(here.home("ps1").server_pem)


@pytest.fixture
def lost_outside(retired, tmp_path):
    """The same, of a zone with an external CA, which has signed for the new server."""
    key = pki_keys.generate("ec-p256")
    request = csr.build(
        key, subject_dns="ps9.test.zone", dns_names=["ps9.test.zone"], ip_addresses=["127.99.0.9"]
    )
    leaf = retired.acme.sign_server(request)
    chain = retired.acme.write("ps9.pem", leaf, retired.acme.intermediate, retired.acme.root)
    (tmp_path / "ps9.key").write_bytes(pki_keys.to_pem(key))
    retired.signed = {"chain": str(chain), "key": str(tmp_path / "ps9.key")}
    retired.pinned = here.home("ps2").read_file(here.UPDATE_KEY)
    (tmp_path / "backup.zip").write_bytes(make_backup(retired))
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "password").write_text("long enough to be one")
    lose_the_database()
    return retired


def test_zone_with_an_external_ca_comes_back_with_its_update_key(lost_outside, tmp_path):
    zone = rebuild(tmp_path, **lost_outside.signed)

    active = CertificateAuthority.objects.get(state="active")
    assert (active.kind, active.x509()) == ("external", lost_outside.acme.root)
    assert active.server.name == "ps9"
    read = manifest.read(trust.published(zone).envelope.encode(), lost_outside.pinned)
    assert read.fingerprints() == [active.sha256]
    leaf = ServerCertificate.objects.get(device__name="ps9").x509()
    chains.check_server_chain(
        [leaf, lost_outside.acme.intermediate],
        None,
        wanted=["ps9.test.zone"],
        at=clock.now(),
        roots=[active.x509()],
    )


def test_zone_with_an_external_ca_needs_what_that_ca_signed(lost_outside, tmp_path):
    with pytest.raises(CommandError, match="File with the certificate and its chain is missing"):
        rebuild(tmp_path)
    assert not Zone.objects.exists()


def test_chain_of_another_external_ca_is_taken_and_said(lost_outside, tmp_path, capsys):
    acme = ExternalCA(tmp_path / "outside", name="Other")
    key = pki_keys.load((tmp_path / "ps9.key").read_bytes())
    request = csr.build(
        key, subject_dns="ps9.test.zone", dns_names=["ps9.test.zone"], ip_addresses=["127.99.0.9"]
    )
    chain = acme.write("ps9.pem", acme.sign_server(request), acme.intermediate, acme.root)

    rebuild(tmp_path, **{**lost_outside.signed, "chain": str(chain)})

    assert "Mind that this chain ends at another certificate: CN=Other Root CA" in (
        capsys.readouterr().err
    )


def test_wrong_passphrase_and_damage_set_nothing_up(lost, tmp_path):
    (tmp_path / "passphrase").write_text("something else")
    with pytest.raises(CommandError, match="The passphrase does not open this file"):
        rebuild(tmp_path)
    (tmp_path / "backup.zip").write_bytes(b"PK")
    with pytest.raises(CommandError, match="The passphrase does not open this file"):
        rebuild(tmp_path)

    assert not Zone.objects.exists()
    assert not here.home("ps9").path.exists()


def test_end_of_the_input_at_the_passphrase_is_one_sentence(lost, tmp_path, monkeypatch):
    def ended(question):
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", ended)

    with pytest.raises(CommandError, match=r"^The input ended before the answer. No zone was set"):
        rebuild(tmp_path, passphrase_file=None)

    assert not Zone.objects.exists()


def test_it_is_refused_when_there_is_a_zone(living, tmp_path):
    (tmp_path / "backup.zip").write_bytes(b"")
    with pytest.raises(CommandError, match="has a zone already"):
        rebuild(tmp_path)


@pytest.mark.parametrize(
    ("years", "sentence"), [(6, "nobody trusts what it signs"), (-1, "Set the clock.")]
)
def test_ca_that_is_not_valid_now_is_not_set_up_again(lost, tmp_path, years, sentence):
    contents = backup.read((tmp_path / "backup.zip").read_bytes(), PASSPHRASE)
    now = clock.now() + timedelta(days=365 * years)

    with pytest.raises(CannotSetUp, match=sentence):
        rebuilding.rebuild_zone(contents, new_server(8), home=here.home("ps8"), now=now)
    assert not Zone.objects.exists()
