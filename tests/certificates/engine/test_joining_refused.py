"""Who holds a token and still may not join; and a CA server that cannot answer yet."""

import pytest

from certificates import joining, keys
from certificates.installing import SoleWorker
from certificates.joining import CannotJoin, NewServer
from certificates.models import CertificateAuthority, IssuedCertificate, JoinRequest
from devices.models import Device
from zcc.ground import claims, clock, here


@pytest.fixture
def refusal(living):
    """Let a server ask with a good token; return what it is told."""

    def ask(**changes):
        known = {"name": "ps4", "dns_name": "ps4.test.zone", "addresses": ["127.99.0.4"]}
        token = joining.create_token(living.zone, home=here.home("ps1"), now=clock.now())
        server, home = NewServer(**(known | changes)), here.home("ps4")
        asked = joining.ask(token, server, home=home, now=clock.now())
        return answer(asked)

    return ask


def answer(asked):
    row = claims.claim(JoinRequest.objects.filter(pk=asked.pk), now=clock.now())
    joining.answer(row, home=here.home("ps1"), hold=SoleWorker(), now=clock.now())
    return JoinRequest.objects.get(pk=asked.pk)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dns_name": "ps1.test.zone"}, "ps1.test.zone belongs to ps1."),
        ({"addresses": ["127.99.0.4", "127.99.0.2"]}, "127.99.0.2 belongs to ps2."),
        ({"name": "ws1"}, "There is a device called ws1 already."),
    ],
)
def test_name_or_address_of_another_is_refused(refusal, changes, sentence):
    before = IssuedCertificate.objects.count()

    told = refusal(**changes)

    assert told.refusal.startswith(sentence)
    assert (told.answer, told.claim_id) == (None, None)
    assert IssuedCertificate.objects.count() == before
    with pytest.raises(CannotJoin, match=sentence):
        joining.accept(told, home=here.home("ps4"))


def test_additional_name_of_another_is_refused(refusal):
    Device.objects.filter(name="ps2").update(additional_dns_names=["www.test.zone"])

    assert "www.test.zone belongs to ps2" in refusal(dns_name="www.test.zone").refusal


def test_zone_with_an_external_ca_says_so(refusal):
    CertificateAuthority.objects.update(kind="external")

    assert "The zone's CA is external" in refusal().refusal


def test_request_that_is_none_is_refused_although_its_code_fits(living):
    token = joining.create_token(living.zone, home=here.home("ps1"), now=clock.now())
    server = NewServer(name="ps4", dns_name="ps4.test.zone", addresses=["127.99.0.4"])
    asked = joining.ask(token, server, home=here.home("ps4"), now=clock.now())
    asked.csr = b"not a request"
    asked.mac = joining._mac(token, asked)
    asked.save()

    assert "not a certificate signing request" in answer(asked).refusal


def test_wrong_encryption_key_leaves_the_request_for_later(living):
    ps1 = here.home("ps1")
    token = joining.create_token(living.zone, home=ps1, now=clock.now())
    server = NewServer(name="ps4", dns_name="ps4.test.zone", addresses=["127.99.0.4"])
    asked = joining.ask(token, server, home=here.home("ps4"), now=clock.now())
    sealed = ps1.read_file(f"ca/{living.ca.guid}.key")
    ps1.write_secret(f"ca/{living.ca.guid}.key", b"x" * len(sealed))
    with pytest.raises(keys.KeyUnavailable):
        answer(asked)
    assert not Device.objects.filter(name="ps4").exists()

    ps1.write_secret(f"ca/{living.ca.guid}.key", sealed)
    JoinRequest.objects.update(lease_until=clock.now())

    assert answer(asked).answer is not None
