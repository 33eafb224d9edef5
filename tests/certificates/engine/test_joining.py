"""Another Primary Server joins, and who may not."""

from datetime import timedelta

import pytest

from agent import pem
from certificates import due, joining, keys
from certificates.installing import SoleWorker
from certificates.joining import CannotJoin
from certificates.models import JoinRequest, JoinToken, ServerCertificate
from devices.models import Device
from tests.certificates.engine.conftest import new_server
from zcc.ground import claims, clock, here


@pytest.fixture
def token(living):
    return joining.create_token(living.zone, home=here.home("ps1"), now=clock.now())


def ask(token, number=4):
    return joining.ask(token, new_server(number), home=here.home(f"ps{number}"), now=clock.now())


def answer(request, *, now=None):
    row = claims.claim(JoinRequest.objects.filter(pk=request.pk), now=clock.now())
    joining.answer(row, home=here.home("ps1"), hold=SoleWorker(), now=now or clock.now())
    return JoinRequest.objects.get(pk=request.pk)


def test_server_joins_with_its_own_key_and_queue(living, token):
    joining.accept(answer(ask(token)), home=here.home("ps4"))

    ps4 = Device.objects.get(name="ps4")
    current = ServerCertificate.objects.get(device=ps4)
    assert here.home("ps4").live().leaf_sha256 == current.sha256
    assert here.identity("ps4").queue == ps4.queue
    assert here.home("ps4").read_file(here.UPDATE_KEY) == here.home("ps1").read_file(
        here.UPDATE_KEY
    )
    assert not JoinRequest.objects.exists()


def test_tick_rings_for_a_request(living, token):
    request = ask(token)

    rings = [ring for ring in due.rings(living.zone, now=clock.now()) if "join" in ring.task]

    assert [(ring.queue, ring.ids) for ring in rings] == [
        (Device.objects.get(name="ps1").queue, {"request_id": request.pk})
    ]


def test_broken_off_command_goes_on_where_it_was(living, token):
    answered = answer(ask(token))

    assert ask(token).pk == answered.pk


@pytest.mark.parametrize("column", ["name", "dns_name", "csr", "seal_public"])
def test_request_that_was_changed_in_the_database_is_refused(living, token, column):
    request = ask(token)
    known = getattr(request, column)
    last = bytes([known[-1] ^ 1]) if isinstance(known, bytes) else "x"
    changed = known[:-1] + last
    JoinRequest.objects.filter(pk=request.pk).update(**{column: changed})

    refused = answer(request)

    assert "does not fit" in refused.refusal
    assert not Device.objects.filter(name__startswith="ps4").exists()


def test_token_is_good_for_one_server(living, token):
    joining.accept(answer(ask(token)), home=here.home("ps4"))

    with pytest.raises(CannotJoin, match="has been used"):
        joining.accept(answer(ask(token, 5)), home=here.home("ps5"))


def test_token_is_good_for_an_hour(living, token):
    refused = answer(ask(token), now=clock.now() + timedelta(hours=1, seconds=1))

    assert "expired" in refused.refusal


def test_taken_name_is_refused(living, token):
    request = joining.ask(token, new_server(2), home=here.home("other"), now=clock.now())

    assert "called ps2 already" in answer(request).refusal


@pytest.mark.parametrize("text", ["", "nonsense", "00000000000000000000000000000000.x"])
def test_text_that_is_no_token_is_refused(living, text):
    with pytest.raises(CannotJoin, match=r"join token"):
        ask(text)


def test_token_cannot_be_made_from_the_database(living, token):
    guid = JoinToken.objects.get(used_at=None).guid

    assert keys.join_token(here.home("ps1"), guid) == token
    here.home("elsewhere").make()
    keys.make_key_encryption_key(here.home("elsewhere"))
    assert keys.join_token(here.home("elsewhere"), guid) != token


def test_server_that_joins_during_an_operation_gets_a_future_certificate(living, token):
    operation = living.reach("assigned")
    joining.accept(answer(ask(token)), home=here.home("ps4"))
    living.beat("ps4")
    living.run()

    assert operation.servers.get(device__name="ps4").requested_at is not None
    future = ServerCertificate.objects.get(device__name="ps4", state="future")
    assert future.authority == operation.new_ca
    assert pem.fingerprint(here.home("ps4").anchors()[0])
