"""Roots, links and server certificates: what stands in them, and who accepts them."""

import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki import authority, csr, issue, keys, names
from tests.pki.conftest import NOW, SERVER, make_generations, make_leaf, make_root, pem

LINT = shutil.which("lint_pkix_cert") or str(Path(sys.executable).with_name("lint_pkix_cert"))


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def lint(certificate, folder):
    """Return the exit code of pkilint and what it finds, warnings included."""
    path = folder / "certificate.pem"
    path.write_bytes(pem(certificate))
    done = subprocess.run(
        [LINT, "lint", "-s", "WARNING", path], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip()


def test_root_is_a_ca_without_path_length(ec):
    constraints = extension(ec.new, x509.BasicConstraints)

    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length is None


def test_root_begins_an_hour_ago_and_lasts_years_of_365_days(ec):
    whole = NOW.replace(microsecond=0)

    assert ec.new.not_valid_before_utc == whole - timedelta(hours=1)
    assert ec.new.not_valid_after_utc == whole + timedelta(days=3650)


@pytest.mark.parametrize("years", [0, 11, -1])
def test_root_is_refused_outside_of_one_to_ten_years(ec, years):
    with pytest.raises(ValueError, match="years must be 1 to 10"):
        authority.plan_root(ec.new.subject, ec.new_key, now=NOW, years=years)


def test_root_needs_a_time_with_zone(ec):
    with pytest.raises(ValueError, match="time zone"):
        authority.plan_root(ec.new.subject, ec.new_key, now=datetime(2026, 1, 1), years=1)


def test_root_past_2050_is_exact(ec):
    root = make_root(ec.old_key, "G9", now=datetime(2048, 2, 29, 23, 59, 59, tzinfo=UTC))

    assert root.not_valid_after_utc == datetime(2058, 2, 26, 23, 59, 59, tzinfo=UTC)


def test_generations_have_different_subjects(ec):
    assert ec.old.subject != ec.new.subject


def test_server_certificate_has_its_names_and_nothing_else(ec):
    found = extension(ec.new_leaf, x509.SubjectAlternativeName).value

    assert found.get_values_for_type(x509.DNSName) == [SERVER, "alias.demo.zone"]
    assert [str(ip) for ip in found.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.display(ec.new_leaf.subject) == f"CN={SERVER}"


def test_server_certificate_is_for_servers_only(ec):
    usage = extension(ec.new_leaf, x509.ExtendedKeyUsage).value

    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extension(ec.new_leaf, x509.BasicConstraints).value.ca


def test_authority_key_identifier_is_the_key_alone(generations):
    for certificate in (generations.new_leaf, generations.link, generations.bridge):
        found = extension(certificate, x509.AuthorityKeyIdentifier).value

        assert found.authority_cert_issuer is None
        assert found.authority_cert_serial_number is None


def test_server_certificate_never_outlives_its_issuer(ec):
    root = make_root(ec.old_key, "G1", years=1)

    leaf = make_leaf(ec.server_key, root, ec.old_key, days=397)

    assert leaf.not_valid_after_utc == root.not_valid_after_utc


def test_server_certificate_is_refused_by_an_expired_ca(ec):
    root = make_root(ec.old_key, "G1", years=1)

    with pytest.raises(ValueError, match="not valid at this time"):
        make_leaf(ec.server_key, root, ec.old_key, now=NOW + timedelta(days=366))


def test_long_server_name_stands_in_the_alternative_names(ec):
    long = ".".join(["a" * 60, "b" * 60, "demo", "zone"])

    leaf = make_leaf(ec.server_key, ec.new, ec.new_key, subject_dns=long, dns_names=[])

    found = extension(leaf, x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == [long]
    assert names.display(leaf.subject) == f"DC={'a' * 60}, DC={'b' * 60}, DC=demo, DC=zone"


def test_addresses_stand_in_their_usual_form_once(ec):
    leaf = make_leaf(ec.server_key, ec.new, ec.new_key, ip_addresses=["::1", "0:0::1", "127.0.0.1"])

    found = extension(leaf, x509.SubjectAlternativeName).value
    assert [str(ip) for ip in found.get_values_for_type(x509.IPAddress)] == ["::1", "127.0.0.1"]


@pytest.mark.parametrize("days", [0, -1, 826])
def test_server_certificate_is_refused_outside_of_1_to_825_days(ec, days):
    with pytest.raises(ValueError, match="days must be 1 to 825"):
        make_leaf(ec.server_key, ec.new, ec.new_key, days=days)


def test_serial_numbers_are_long_and_random(ec):
    subject = ec.old.subject
    plans = [authority.plan_root(subject, ec.old_key, now=NOW, years=3) for _ in range(50)]

    assert len({plan.serial for plan in plans}) == 50
    assert max(plan.serial for plan in plans).bit_length() >= 120
    assert max(plan.serial for plan in plans).bit_length() <= 159


def test_other_key_of_the_same_kind_signs_nothing(ec):
    plan = authority.plan_link(ec.new, issuer=ec.old, now=NOW)

    with pytest.raises(ValueError, match="not the key of the CA"):
        issue.sign(plan, ec.new_key)


def test_same_link_and_leaf_are_planned_again_to_the_byte(generations):
    old, new, key = generations.old, generations.new, generations.server_key.public_key()
    wishes = {
        "subject_dns": SERVER,
        "dns_names": ["alias.demo.zone"],
        "ip_addresses": ["127.0.0.1"],
    }

    link = authority.plan_link(new, issuer=old, now=NOW, serial=generations.link.serial_number)
    number = generations.new_leaf.serial_number
    leaf = issue.plan_server(key, issuer=new, now=NOW, serial=number, **wishes)

    assert link.tbs == generations.link.tbs_certificate_bytes
    assert leaf.tbs == generations.new_leaf.tbs_certificate_bytes


def made_by_others(key, *extensions):
    """A root as other software may make it."""
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([]),
        subject_name=x509.Name([]),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=NOW - timedelta(days=9),
        not_valid_after=NOW + timedelta(days=9),
    )
    for one in extensions:
        builder = builder.add_extension(one, critical=True)
    return builder.sign(key, SHA256())


def test_no_link_by_a_ca_with_path_length_0(ec):
    short = made_by_others(ec.old_key, x509.BasicConstraints(ca=True, path_length=0))

    with pytest.raises(ValueError, match="path length of 0"):
        authority.plan_link(ec.new, issuer=short, now=NOW)


def test_no_link_to_or_by_what_is_no_ca(ec):
    for certified, issuer in [(ec.new_leaf, ec.old), (ec.new, made_by_others(ec.old_key))]:
        with pytest.raises(ValueError, match="not a CA"):
            authority.plan_link(certified, issuer=issuer, now=NOW)


def test_link_needs_a_time_with_zone(ec):
    with pytest.raises(ValueError, match="time zone"):
        authority.plan_link(ec.new, issuer=ec.old, now=datetime(2026, 11, 24))


def test_key_identifier_of_a_ca_that_states_none_is_that_of_its_key(ec):
    bare = made_by_others(ec.old_key, x509.BasicConstraints(ca=True, path_length=None))

    link = issue.sign(authority.plan_link(ec.new, issuer=bare, now=NOW), ec.old_key)

    found = extension(link, x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == issue.key_identifier(ec.old).digest


def test_lint_has_nothing_to_say_about_a_long_name(ec, tmp_path):
    long = ".".join(["a" * 60, "b" * 60, "demo", "zone"])
    leaf = make_leaf(ec.server_key, ec.new, ec.new_key, subject_dns=long)

    assert lint(leaf, tmp_path) == (0, "")


def test_weak_key_gets_no_certificate(ec):
    key = keys.rsa.generate_private_key(public_exponent=65537, key_size=1024)

    with pytest.raises(ValueError, match="RSA 1024"):
        issue.plan_server(
            key.public_key(),
            issuer=ec.new,
            subject_dns=SERVER,
            dns_names=[],
            ip_addresses=[],
            now=NOW,
        )


def test_same_plan_is_the_same_to_the_byte(ec):
    plan = authority.plan_root(ec.old.subject, ec.old_key, now=NOW, years=3)
    again = authority.plan_root(ec.old.subject, ec.old_key, now=NOW, years=3, serial=plan.serial)

    assert again.tbs == plan.tbs
    assert issue.sign(plan, ec.old_key).tbs_certificate_bytes == plan.tbs


def test_key_of_another_kind_does_not_sign_the_plan(ec):
    plan = authority.plan_root(ec.old.subject, ec.old_key, now=NOW, years=3)

    with pytest.raises(ValueError, match="not the key of the CA"):
        issue.sign(plan, keys.generate("rsa-2048"))


def test_link_ends_with_the_ca_that_ends_first(ec):
    short = make_root(ec.old_key, "G1", years=2)
    plan = authority.plan_link(ec.new, issuer=short, now=NOW)

    link = issue.sign(plan, ec.old_key)

    assert link.not_valid_after_utc == short.not_valid_after_utc


def test_no_link_by_an_expired_ca(ec):
    short = make_root(ec.old_key, "G1", years=1)

    with pytest.raises(ValueError, match="expired"):
        authority.plan_link(ec.new, issuer=short, now=NOW + timedelta(days=400))


@pytest.mark.parametrize("trusted", [["old"], ["new"], ["old", "new"]])
def test_openssl_accepts_the_new_leaf_with_the_link(generations, openssl_verify, trusted):
    roots = [getattr(generations, name) for name in trusted]

    assert openssl_verify(generations.new_leaf, sent=[generations.link], trusted=roots)


@pytest.mark.parametrize("trusted", [["old"], ["new"], ["old", "new"]])
def test_openssl_accepts_the_old_leaf_with_the_bridge(generations, openssl_verify, trusted):
    roots = [getattr(generations, name) for name in trusted]

    assert openssl_verify(generations.old_leaf, sent=[generations.bridge], trusted=roots)


def test_openssl_refuses_the_new_leaf_without_the_link(generations, openssl_verify):
    assert not openssl_verify(generations.new_leaf, trusted=[generations.old])


@pytest.mark.parametrize("name", ["old", "new", "link", "bridge", "old_leaf", "new_leaf"])
def test_lint_has_nothing_to_say(generations, name, tmp_path):
    assert lint(getattr(generations, name), tmp_path) == (0, "")


def python_3_13():
    """Find a Python 3.13 that runs: on the path, or one of pyenv's, whose shim may not."""
    of_pyenv = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"))
    for found in ["python3.13", *map(str, of_pyenv)]:
        if shutil.which(found) and subprocess.run([found, "-V"], capture_output=True).stdout:
            return found
    return None


@pytest.fixture(scope="session", params=["ec-p256", "rsa-2048"])
def today(request):
    return make_generations(request.param, now=datetime.now(UTC))


@pytest.mark.skipif(not python_3_13(), reason="needs python3.13")
@pytest.mark.parametrize("leaf", ["new_leaf", "old_leaf"])
@pytest.mark.parametrize("trusted", [["old"], ["new"], ["old", "new"]])
def test_default_context_of_python_3_13_accepts_it(today, leaf, trusted, tmp_path):
    other = {"new_leaf": today.link, "old_leaf": today.bridge}[leaf]
    (tmp_path / "roots").write_bytes(pem(*[getattr(today, name) for name in trusted]))
    (tmp_path / "chain").write_bytes(
        pem(getattr(today, leaf), other) + keys.to_pem(today.server_key)
    )

    done = subprocess.run(
        [python_3_13(), "-c", HANDSHAKE, tmp_path / "chain", tmp_path / "roots", SERVER],
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


HANDSHAKE = """
import ssl, sys
chain, root, name = sys.argv[1:]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(chain)
client = ssl.create_default_context(cafile=root)
pipes = [ssl.MemoryBIO() for _ in range(2)]
one = client.wrap_bio(pipes[0], pipes[1], server_hostname=name)
two = server.wrap_bio(pipes[1], pipes[0], server_side=True)
for side in (one, two) * 3:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        pass
assert one.version()
"""


def test_request_proves_its_key(ec):
    request = csr.build(ec.server_key, subject_dns=SERVER, dns_names=[], ip_addresses=["::1"])

    assert csr.check(request) == ec.server_key.public_key()


def test_request_that_was_changed_is_refused(ec):
    request = bytearray(csr.build(ec.server_key, subject_dns=SERVER, dns_names=[], ip_addresses=[]))
    at = bytes(request).index(b"ps1.demo")
    request[at : at + 3] = b"ps9"

    with pytest.raises(ValueError, match="not signed by its own key"):
        csr.check(bytes(request))


@pytest.mark.parametrize("garbage", [b"", b"\x30\x03\x02\x01\x01", b"x" * 70000])
def test_garbage_is_no_request(garbage):
    with pytest.raises(ValueError, match="request"):
        csr.check(garbage)


def test_context_takes_the_chain_and_key(ec, tmp_path):
    (tmp_path / "chain").write_bytes(pem(ec.new_leaf, ec.link) + keys.to_pem(ec.server_key))

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "chain")
