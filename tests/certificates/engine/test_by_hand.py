"""Certificates and keys that an administrator puts into remint-repo."""

import os
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from certificates.actions import csrs
from certificates.models import ServerCertificate, ServerProgress
from devices.models import Device
from pki import csr, keys
from tests.certificates.engine import changing
from tests.certificates.engine.importing_stories import acme, by_hand, pem_of
from tests.certificates.engine.test_imported import generate
from tests.certificates.external_ca import BY_KEY, BY_SERIAL, LEAF
from zcc.ground import clock

__all__ = ["acme", "by_hand"]

NUMBERS = {"ps1": "127.99.0.1", "ps2": "127.99.0.2", "ps3": "127.99.0.3", "auth1": "127.99.0.12"}


def made_elsewhere(acme, name, **options):
    """A key and a certificate as an administrator makes them with other tools."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = csr.build(
        key,
        subject_dns=f"{name}.test.zone",
        dns_names=[],
        ip_addresses=[NUMBERS[name]],
        fields={"O": "Acme"},
    )
    return key, acme.sign_server(request, **options)


def put(home, acme, name, *, file="server.pem", **options):
    """Put both files there; return the certificate's fingerprint."""
    key, certificate = made_elsewhere(acme, name, **options)
    folder = home.path / "remint-repo"
    (folder / file).write_bytes(pem_of(certificate, acme.intermediate, acme.root))
    (folder / "key.der").write_bytes(keys.to_der(key))
    return certificate.fingerprint(SHA256()).hex()


def look(living, *, at=None):
    """Let the next look be now, and do what follows from it."""
    for _ in range(3):
        ServerProgress.objects.update(retry_at=None)
        living.run(at=at)


def future_of(name):
    rows = ServerCertificate.objects.filter(device__name=name, state="future")
    return rows.values_list("sha256", flat=True).first()


def problem_of(name):
    return ServerProgress.objects.get(device__name=name).problem


def test_what_is_put_there_is_found_staged_and_shown_in_the_end(living, homes, by_hand, acme):
    expected = {name: put(homes[name], acme, name) for name in homes}
    look(living)
    assert {name: future_of(name) for name in homes} == expected

    changing.replicate(living, by_hand)
    look(living)
    assert os.listdir(homes["ps1"].path / "remint-repo").count("server.pem") == 0
    look(living, at=by_hand.activate_at - timedelta(minutes=9))
    look(living, at=by_hand.activate_at)

    assert {name: home.live().leaf_sha256 for name, home in homes.items()} == expected


def test_wildcard_in_another_form_is_accepted(living, homes, by_hand, acme):
    names = "subjectAltName=DNS:*.test.zone,IP:127.99.0.1\n"

    expected = put(
        homes["ps1"], acme, "ps1", file="server.crt", extensions=LEAF + BY_KEY + names, names="none"
    )
    look(living)

    assert (future_of("ps1"), problem_of("ps1")) == (expected, "")


@pytest.mark.parametrize(("names_issuer_by", "is_said"), [(BY_SERIAL, True), (BY_KEY, False)])
def test_what_the_link_cannot_carry_is_said_in_its_row(
    client, living, homes, by_hand, acme, names_issuer_by, is_said
):
    put(homes["ps1"], acme, "ps1", by="root", extensions=LEAF + names_issuer_by)
    look(living)
    client.force_login(living.alice)

    page = client.get("/certificates/").text

    assert future_of("ps1")
    assert ("The link does not carry it" in page) is is_said


def test_key_never_leaves_the_home(living, homes, by_hand, acme):
    put(homes["ps1"], acme, "ps1")
    look(living)

    row = ServerCertificate.objects.get(device__name="ps1", state="future")
    assert row.csr is None
    assert "PRIVATE KEY" not in row.intermediates


SPOILED = {
    "its key is not. Put key.der beside it": lambda folder: (folder / "key.der").unlink(),
    "holds server.cer and server.pem": lambda folder: (folder / "server.cer").write_bytes(b"x"),
    "can be written to by others": lambda folder: (folder / "server.pem").chmod(0o666),
    "belongs to another user": lambda folder: os.chown(folder / "key.der", 12345, 12345),
    "holds no certificate": lambda folder: (folder / "server.pem").write_bytes(b"hello"),
    "not a private key": lambda folder: (folder / "key.der").write_bytes(b"hello"),
}


@pytest.mark.parametrize("sentence", SPOILED)
def test_what_cannot_be_used_is_refused_by_name(living, homes, by_hand, acme, sentence):
    if "another user" in sentence and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    put(homes["ps2"], acme, "ps2")
    SPOILED[sentence](homes["ps2"].path / "remint-repo")

    look(living)

    assert sentence in problem_of("ps2")
    assert future_of("ps2") is None


def test_key_of_another_certificate_is_refused(living, homes, by_hand, acme):
    put(homes["ps2"], acme, "ps2")
    (homes["ps2"].path / "remint-repo/key.der").write_bytes(keys.to_der(keys.generate("ec-p256")))

    look(living)

    assert "The private key in key.der belongs to no certificate in server.pem." in problem_of(
        "ps2"
    )


def test_certificate_of_another_server_is_refused(living, homes, by_hand, acme):
    put(homes["ps2"], acme, "ps3")

    look(living)

    assert "not valid for ps2.test.zone" in problem_of("ps2")
    assert future_of("ps2") is None


def test_exchanged_certificate_replaces_the_one_found_before(living, homes, by_hand, acme):
    put(homes["ps1"], acme, "ps1")
    look(living)
    second = put(homes["ps1"], acme, "ps1")

    look(living)

    assert future_of("ps1") == second


def test_exchanged_certificate_is_staged_anew(living, homes, by_hand, acme):
    for name in homes:
        put(homes[name], acme, name)
    look(living)
    changing.replicate(living, by_hand)
    look(living)
    second = put(homes["ps1"], acme, "ps1", file="server.der")

    look(living)

    assert homes["ps1"].staged().leaf_sha256 == second
    assert sorted(os.listdir(homes["ps1"].path / "remint-repo")) == sorted(
        os.listdir(homes["ps2"].path / "remint-repo")
    )


def test_files_changed_after_staging_do_not_reach_what_is_activated(living, homes, by_hand, acme):
    expected = {name: put(homes[name], acme, name) for name in homes}
    look(living)
    changing.replicate(living, by_hand)
    look(living)
    look(living, at=by_hand.activate_at - timedelta(minutes=9))
    (homes["ps1"].path / "remint-repo/key.der").write_bytes(b"something else")

    look(living, at=by_hand.activate_at)

    assert homes["ps1"].live().leaf_sha256 == expected["ps1"]


def test_csr_may_be_generated_after_all(living, homes, by_hand, acme):
    put(homes["ps3"], acme, "ps3")
    look(living)

    generate(living, by_hand, "ps3")
    living.run()

    [row] = ServerCertificate.objects.filter(device__name="ps3", state="requested")
    assert row.csr
    assert sorted(os.listdir(homes["ps3"].path / "remint-repo")) == [
        "key.der",
        "operation",
        "request",
    ]


def test_wildcard_name_is_refused_with_the_advice(living, by_hand):
    Device.objects.filter(name="ps3").update(additional_dns_names=["*.test.zone"])

    with pytest.raises(
        csrs.Refused, match="A wildcard certificate needs a request made by another"
    ):
        generate(living, by_hand, "ps3")

    assert ServerProgress.objects.get(device__name="ps3").request_number == 0


# A Satellite


@pytest.fixture
def auth1(living, make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)
    return auth1


@pytest.fixture
def with_satellite(living, acme, auth1):
    operation = changing.to_external(living, acme, csr_mode="manual")
    living.run()
    auth1.refresh()
    return operation


def test_satellite_finds_what_is_put_there_and_stages_it(
    living, homes, auth1, with_satellite, acme
):
    expected = put(auth1.home, acme, "auth1")
    auth1.refresh(2)
    assert future_of("auth1") == expected
    for name in homes:
        put(homes[name], acme, name)
    look(living)
    changing.replicate(living, with_satellite)
    look(living)

    auth1.refresh(2)

    assert auth1.home.staged().leaf_sha256 == expected
    assert ServerProgress.objects.get(device__name="auth1").staged_at


def test_satellite_says_what_it_cannot_use(auth1, with_satellite, acme):
    put(auth1.home, acme, "auth1")
    (auth1.home.path / "remint-repo/server.cert").write_bytes(b"x")

    auth1.refresh(2)

    assert "holds server.pem and server.cert" in problem_of("auth1")


def test_satellite_makes_another_request_when_it_is_asked(living, auth1, with_satellite, acme):
    generate(living, with_satellite, "auth1")
    assert not ServerCertificate.objects.filter(operation=with_satellite).exists()

    auth1.refresh(2)
    first = bytes(ServerCertificate.objects.get(operation=with_satellite).csr)
    generate(living, with_satellite, "auth1")
    auth1.refresh(2)

    rows = ServerCertificate.objects.filter(operation=with_satellite).order_by("pk")
    assert [row.state for row in rows] == ["cancelled", "requested"]
    assert csr.check(bytes(rows[1].csr)) != csr.check(first)
    assert clock.now() > rows[1].created_at
