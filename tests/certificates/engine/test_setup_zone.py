"""Setting up: with an internal CA, with an external one, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command

from certificates import installing, trust
from certificates.installing import CannotSetUp
from certificates.models import CertificateAuthority, ServerCertificate
from devices.models import Zone
from pki import authority, csr, issue, keys, names
from tests.certificates.engine.conftest import new_server
from zcc.ground import here

SERVER = new_server(1)


@pytest.fixture(scope="module")
def external():
    """An external CA with an intermediate, and what it signed for this server."""
    now = datetime.now(UTC)
    root_key, middle_key, server_key = (keys.generate("ec-p256") for _ in range(3))
    subject = names.ca_subject("Partner Root", serial_number="1")
    root = issue.sign(authority.plan_root(subject, root_key, now=now, years=5), root_key)
    other = names.ca_subject("Partner Issuing", serial_number="2")
    self_signed = issue.sign(authority.plan_root(other, middle_key, now=now, years=5), middle_key)
    middle = issue.sign(authority.plan_link(self_signed, issuer=root, now=now), root_key)
    request = csr.build(
        server_key, subject_dns=SERVER.dns_name, dns_names=[], ip_addresses=SERVER.addresses
    )
    plan = issue.plan_server(
        csr.check(request),
        issuer=middle,
        subject_dns=SERVER.dns_name,
        dns_names=[],
        ip_addresses=SERVER.addresses,
        now=now,
    )
    leaf = issue.sign(plan, middle_key)
    return {"leaf": leaf, "middle": middle, "root": root, "key": server_key}


def pem(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


@pytest.fixture
def files(external, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(pem(external["root"], external["leaf"], external["middle"]))
    key.write_bytes(keys.to_pem(external["key"]))
    (tmp_path / "password").write_text("long enough to be one")
    return tmp_path


@pytest.fixture
def fresh_home(settings, tmp_path):
    settings.ZCC_HOME = tmp_path / "home"
    settings.SECRET_KEY_FILE = settings.ZCC_HOME / "secrets/secret_key"
    return settings.ZCC_HOME


def set_up(files, **options):
    known = {
        "name": "MY-ZONE",
        "server": "ps1",
        "dns": SERVER.dns_name,
        "address": SERVER.addresses,
        "admin": "root",
        "password_file": str(files / "password"),
        "ca": "internal",
        "key_length": "ec-p256",
    }
    call_command("setup_zone", **(known | options))


def test_zone_with_an_internal_ca(db, fresh_home, files, django_user_model):
    set_up(files)

    ca = CertificateAuthority.objects.get()
    assert (ca.kind, ca.state, ca.common_name) == ("internal", "active", "MY-ZONE")
    assert here.home("ps1").live().leaf_sha256 == ServerCertificate.objects.get().sha256
    assert trust.published(Zone.objects.get()).epoch == 1
    assert django_user_model.objects.get().check_password("long enough to be one")


def test_zone_with_an_external_ca(db, fresh_home, files, external):
    set_up(files, ca="external", chain=str(files / "chain.pem"), key=str(files / "key.pem"))

    ca = CertificateAuthority.objects.get()
    assert (ca.kind, ca.subject) == ("external", "CN=Partner Root, serialNumber=1")
    sent = here.home("ps1").live().chain_pem
    assert sent.strip() == pem(external["leaf"], external["middle"]).strip()


def test_second_set_up_is_refused(db, fresh_home, files):
    set_up(files)

    with pytest.raises(CommandError, match="has a zone already"):
        set_up(files)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "x" * 65}, "at most 64"),
        ({"dns": "my_host.example"}, "underscore"),
        ({"address": ["300.1.1.1"]}, "not an IP address"),
        ({"ca": "external", "chain": "/nowhere", "key": "/nowhere"}, "could not be read"),
        ({"years": 11}, "1 to 10 years"),
    ],
)
def test_what_does_not_fit_is_said(db, fresh_home, files, options, sentence):
    with pytest.raises(CommandError, match=sentence):
        set_up(files, **options)

    assert not Zone.objects.exists()


def test_short_password_is_refused(db, fresh_home, files):
    (files / "password").write_text("short")

    with pytest.raises(CommandError, match="at least 10"):
        set_up(files)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (["leaf", "root"], "more than one chain"),
        (["leaf", "middle"], 'the issuer "CN=Partner Root, serialNumber=1" is missing'),
        (["root"], "does not belong|not valid for|not accepted"),
    ],
)
def test_external_chain_that_is_not_complete(external, parts, sentence):
    chain = pem(*(external[part] for part in parts))

    with pytest.raises(CannotSetUp, match=sentence):
        installing.read_external(
            chain, keys.to_pem(external["key"]), server=SERVER, now=datetime.now(UTC)
        )


def test_external_certificate_for_another_server(external):
    chain = pem(external["leaf"], external["middle"], external["root"])

    with pytest.raises(CannotSetUp, match="not valid for ps2"):
        installing.read_external(
            chain, keys.to_pem(external["key"]), server=new_server(2), now=datetime.now(UTC)
        )


def test_external_key_of_another_certificate(external):
    chain = pem(external["leaf"], external["middle"], external["root"])

    with pytest.raises(CannotSetUp, match="key does not belong"):
        installing.read_external(
            chain, keys.to_pem(keys.generate("ec-p256")), server=SERVER, now=datetime.now(UTC)
        )


def test_external_certificate_that_has_expired(external):
    chain = pem(external["leaf"], external["middle"], external["root"])

    with pytest.raises(CannotSetUp, match="expired on"):
        installing.read_external(
            chain,
            keys.to_pem(external["key"]),
            server=SERVER,
            now=datetime.now(UTC) + timedelta(days=500),
        )
