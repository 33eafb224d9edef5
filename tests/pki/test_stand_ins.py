"""CAs whose key is for RSA-PSS alone: judged like any other, made here with `openssl`."""

from datetime import UTC, datetime, timedelta

import pytest

from pki import csr, imports, keys, trusted_root
from tests.certificates.external_ca import BY_KEY, CA, LEAF, ExternalCA

SERVER = "ps1.demo.zone"
NOW = datetime.now(UTC) + timedelta(hours=1)  # after `openssl` has made everything here


def with_pss_key(outside, name):
    outside.run("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048",
                "-out", f"{name}.key")  # fmt: skip
    outside.run("req", "-new", "-key", f"{name}.key", "-subj", "/CN=PSS CA", "-out", "pss.csr")


@pytest.fixture(scope="module")
def pss(tmp_path_factory):
    outside = ExternalCA(tmp_path_factory.mktemp("pss"))
    with_pss_key(outside, "pss")
    outside.pss = outside.sign("root", "pss.csr", CA + BY_KEY, days=300)
    outside.write("pss.pem", outside.pss)
    return outside


def make_leaf(outside, name=SERVER, *, by="pss", extensions=LEAF + BY_KEY):
    key = keys.generate("ec-p256")
    request = csr.build(key, subject_dns=name, dns_names=[name], ip_addresses=[])
    return outside.sign_server(request, by=by, extensions=extensions)


def judge(outside, leaf, *pool, name=SERVER, after=timedelta(days=1)):
    wanted = imports.Wanted([name], NOW + after, outside.root)
    return imports.intermediates_for(leaf, pool, wanted)


def test_leaf_by_such_a_ca_is_accepted(pss):
    assert judge(pss, make_leaf(pss), pss.pss, pss.intermediate) == [pss.pss]


def test_trusted_root_with_such_a_ca_below_it_is_accepted(pss):
    chain = pss.write("pss-chain.pem", pss.root, pss.pss).read_bytes()

    assert trusted_root.read(chain, now=NOW).intermediates == (pss.pss,)


def test_ca_of_the_same_name_that_did_not_sign_is_refused(pss):
    leaf = make_leaf(pss)
    with_pss_key(pss, "other")
    other = pss.sign("root", "pss.csr", CA + BY_KEY, days=300)

    with pytest.raises(ValueError, match="not accepted"):
        judge(pss, leaf, other)


def test_everything_else_is_judged_as_ever(pss):
    no_server = LEAF.replace("serverAuth", "clientAuth") + BY_KEY

    with pytest.raises(ValueError, match="does not allow serverAuth"):
        judge(pss, make_leaf(pss, extensions=no_server), pss.pss)
    with pytest.raises(ValueError, match=r"not valid for other\.zone"):
        judge(pss, make_leaf(pss), pss.pss, name="other.zone")
    with pytest.raises(ValueError, match="expire"):
        judge(pss, make_leaf(pss), pss.pss, after=timedelta(days=301))


def test_name_constraints_of_such_a_ca_count(pss):
    limited = CA + BY_KEY + "nameConstraints=critical,permitted;DNS:elsewhere.zone\n"
    with_pss_key(pss, "limited")
    ca = pss.sign("root", "pss.csr", limited, days=300)
    pss.write("limited.pem", ca)

    with pytest.raises(ValueError, match="not accepted"):
        judge(pss, make_leaf(pss, by="limited"), ca)
    name = "ps1.elsewhere.zone"
    assert judge(pss, make_leaf(pss, name, by="limited"), ca, name=name) == [ca]
