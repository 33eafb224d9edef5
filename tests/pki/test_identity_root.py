"""The CA that signs identities alone: fit for that, and for nothing else."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki import authority, issue, keys, names
from tests.pki.test_issue import lint

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def root():
    key = keys.generate("ec-p256")
    subject = names.identity_ca_subject("DEMO-ZONE", serial_number="I1")
    plan = authority.plan_identity_root(subject, key, now=NOW, years=10)
    return key, issue.sign(plan, key)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def test_it_certifies_clients_and_no_ca(root):
    _, certificate = root

    assert extension(certificate, x509.BasicConstraints).path_length == 0
    usage = extension(certificate, x509.ExtendedKeyUsage)
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_after_utc == datetime(2036, 11, 25, 12, 0, tzinfo=UTC)
    certificate.verify_directly_issued_by(certificate)


def test_lint_has_nothing_to_say_about_it_and_its_identities(root, tmp_path):
    key, certificate = root
    plan = issue.plan_identity(
        keys.generate("ec-p256").public_key(),
        issuer=certificate,
        name="phone1",
        guid="6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        now=NOW,
    )

    assert lint(certificate, tmp_path) == (0, "")
    assert lint(issue.sign(plan, key), tmp_path) == (0, "")


def test_it_vouches_for_no_other_ca(root):
    _, certificate = root
    other = keys.generate("ec-p256")
    subject = names.ca_subject("Other", serial_number="G1")
    plan = authority.plan_root(subject, other, now=NOW, years=5)

    with pytest.raises(ValueError, match="may certify no other CA"):
        authority.plan_link(issue.sign(plan, other), issuer=certificate, now=NOW)


@pytest.mark.parametrize("years", [0, 11])
def test_years_that_do_not_fit_are_refused(years):
    subject = names.identity_ca_subject("DEMO", serial_number="I1")

    with pytest.raises(ValueError, match="years must be 1 to 10"):
        authority.plan_identity_root(subject, keys.generate("ec-p256"), now=NOW, years=years)


def test_long_name_of_a_zone_is_shortened():
    subject = names.identity_ca_subject("Z" * 70, serial_number="I1")

    [name] = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert (len(name.value), name.value[-11:]) == (64, " Identities")
