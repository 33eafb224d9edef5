"""Certificates that an external CA sends back: which intermediates lead to it, or what is wrong."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from pki import authority, csr, imports, issue, keys
from pki.imports import Wanted
from tests.pki.conftest import NOW, SERVER, make_leaf, make_root, pem


@pytest.fixture(scope="module")
def outside():
    """A root, an intermediate it signed, and a server's certificate by that."""
    root_key, between_key, server_key = (keys.generate("ec-p256") for _ in range(3))
    root, own = make_root(root_key, "Root"), make_root(between_key, "Between")
    between = issue.sign(authority.plan_link(own, issuer=root, now=NOW), root_key)
    leaf = make_leaf(server_key, between, between_key)
    return {"root": root, "between": between, "leaf": leaf, "key": server_key, "by": between_key}


def judge(outside, *, leaf=None, pool=None, names=(SERVER,), at=NOW, root=None):
    wanted = Wanted(list(names), at, root or outside["root"])
    known = [outside["between"]] if pool is None else pool
    return imports.intermediates_for(leaf or outside["leaf"], known, wanted)


def test_intermediates_are_found_in_any_heap(outside, ec):
    heap = [ec.old, outside["root"], ec.new_leaf, outside["between"], ec.link]

    assert judge(outside, pool=heap) == [outside["between"]]


def test_root_alone_needs_none(ec):
    wanted = Wanted([SERVER, "127.0.0.1"], NOW, ec.new)

    assert imports.intermediates_for(ec.new_leaf, [], wanted) == []


def test_missing_issuer_is_named(outside):
    with pytest.raises(ValueError, match='issuer "CN=DEMO-ZONE, serialNumber=Between" is missing'):
        judge(outside, pool=[])


def test_another_ca_is_said(outside, ec):
    with pytest.raises(ValueError, match=r'another CA .* issued by "CN='):
        judge(outside, leaf=ec.new_leaf, pool=[ec.new])


def test_chain_of_another_ca_without_its_root_is_said_to_be_of_another(outside, ec):
    with pytest.raises(ValueError) as refused:
        judge(outside, root=ec.new)

    text, issuer = str(refused.value), "CN=DEMO-ZONE, serialNumber=Root"
    assert text.startswith('By its chain it is not from "CN=DEMO-ZONE, serialNumber=G2": ')
    assert f'it leads to "{issuer}", which is not known here.' in text
    assert "not complete" not in text


def test_leaf_alone_may_lack_an_intermediate_or_be_of_another_ca(outside):
    with pytest.raises(ValueError, match="Add it to the file") as refused:
        judge(outside, pool=[])

    assert 'not below "CN=DEMO-ZONE, serialNumber=Root", have the' in str(refused.value)


def test_ca_instead_of_a_server_is_said(outside):
    with pytest.raises(ValueError, match="certificate of a CA, not of a server"):
        judge(outside, leaf=outside["between"])


@pytest.mark.parametrize(("days", "sentence"), [(500, "It expires on"), (-5, "valid only from")])
def test_activation_outside_its_life_is_said_with_both_dates(outside, days, sentence):
    with pytest.raises(ValueError, match=sentence):
        judge(outside, at=NOW + timedelta(days=days))


def test_uncovered_name_is_said(outside):
    with pytest.raises(ValueError, match=r"not valid for other\.demo\.zone"):
        judge(outside, names=[SERVER, "other.demo.zone"])


def test_fraction_of_a_second_after_its_end_does_not_count(outside):
    last = outside["leaf"].not_valid_after_utc + timedelta(microseconds=5000)

    assert judge(outside, at=last) == [outside["between"]]


def odd_leaf(outside, *, alternatives, common=SERVER):
    """A certificate by the root itself, with other names than ours have."""
    key = keys.generate("ec-p256")
    root = outside["constrained"]
    identifier = issue.authority_key_identifier(root)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(outside["constrained_key"], issue.SHA256())


@pytest.fixture(scope="module")
def constrained(outside):
    """A root that may speak for names and mail addresses of demo.zone."""
    key = keys.generate("ec-p256")
    plain = make_root(key, "Constrained")
    limits = x509.NameConstraints([x509.DNSName("demo.zone"), x509.RFC822Name("demo.zone")], None)
    builder = authority._ca_builder(plain.subject, issue.key_identifier(plain))
    builder = builder.issuer_name(plain.subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(plain.not_valid_before_utc)
    builder = builder.not_valid_after(plain.not_valid_after_utc)
    root = builder.add_extension(limits, critical=True).sign(key, issue.SHA256())
    return {**outside, "constrained": root, "constrained_key": key}


def judged(constrained, *alternatives, **options):
    leaf = odd_leaf(constrained, alternatives=list(alternatives), **options)
    return judge(constrained, leaf=leaf, pool=[], root=constrained["constrained"])


def test_names_that_a_constrained_ca_may_speak_for_are_accepted(constrained):
    assert judged(constrained, x509.DNSName(SERVER)) == []


def test_names_that_the_verifier_passes_over_are_refused(constrained):
    mail = x509.RFC822Name("a@demo.zone")

    with pytest.raises(ValueError, match="a name of the kind RFC822Name"):
        judged(constrained, x509.DNSName(SERVER), mail)
    with pytest.raises(ValueError, match=r"www\.bank\.example in its subject"):
        judged(constrained, x509.DNSName(SERVER), common="www.bank.example")


def test_more_names_than_can_be_judged_quickly_are_refused(constrained):
    many = [x509.DNSName(f"a{number}.demo.zone") for number in range(imports.MAX_NAMES + 1)]

    with pytest.raises(ValueError, match="more than 200 alternative names"):
        judged(constrained, *many)


# A certificate and its key as files


def test_keys_certificate_is_found_among_others(outside):
    file = pem(outside["root"], outside["between"], outside["leaf"])

    for key_file in (keys.to_der(outside["key"]), keys.to_pem(outside["key"])):
        pair = imports.read_pair(file, key_file, name="server.pem")

        assert (pair.leaf, pair.others) == (outside["leaf"], [outside["root"], outside["between"]])
        assert pair.chain_pem == pem(outside["leaf"], outside["between"])


def test_key_of_none_of_them_is_said(outside):
    other = keys.to_der(keys.generate("ec-p256"))

    with pytest.raises(ValueError, match=r"belongs to no certificate in server\.cer"):
        imports.read_pair(pem(outside["leaf"]), other, name="server.cer")


# Requests


def test_request_has_the_fields_of_its_subject_in_their_order():
    fields = {"O": " Acme ", "OU": "IT", "L": "Oslo", "ST": "Oslo", "C": "no"}
    der = csr.build(
        keys.generate("ec-p256"),
        subject_dns=SERVER,
        dns_names=[],
        ip_addresses=["10.0.0.1"],
        fields=fields,
    )

    subject = x509.load_der_x509_csr(der).subject
    assert subject.rfc4514_string() == f"CN={SERVER},OU=IT,O=Acme,L=Oslo,ST=Oslo,C=NO"
    assert csr.alternative_names(der) == (f"DNS: {SERVER}", "IP: 10.0.0.1")


def test_wildcard_is_never_asked_for():
    with pytest.raises(ValueError, match="A wildcard certificate needs a request made by another"):
        csr.build(
            keys.generate("ec-p256"),
            subject_dns=SERVER,
            dns_names=["*.demo.zone"],
            ip_addresses=[],
        )
