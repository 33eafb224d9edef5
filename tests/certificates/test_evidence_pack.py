"""The button `Evidence pack`, and the download."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.models import EvidencePack
from tests.certificates import evidence
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


def address(operation, name="evidence_pack"):
    return reverse(f"certificates:{name}", args=[operation.pk])


@pytest.fixture
def made(make_operation, alice, now):
    """A pack that a worker has made."""
    operation = make_operation("overlap")
    pack = evidence.Made(operation, now)
    EvidencePack.objects.create(
        operation=operation,
        requested_by=alice,
        requested_at=now - timedelta(minutes=1),
        made_at=now,
        covers=operation.events.last().pk,
        content=pack.bytes,
        size=len(pack.bytes),
        sha256="ab" * 32,
        counts=pack.counts,
        update_key=pack.public.hex(),
    )
    return operation


def test_it_is_asked_for_by_whom_and_when(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)

    assert_is_closed(client.post(address(operation)), to=address(operation, "operation"))

    pack = EvidencePack.objects.get()
    assert (pack.operation, pack.requested_by, pack.made_at) == (operation, alice, None)
    assert "Being made" in client.get(address(operation, "operation")).text


def test_it_is_refused_while_it_is_being_made(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)
    client.post(address(operation))
    before = EvidencePack.objects.get().requested_at

    assert_is_refused(client.post(address(operation)), "The evidence pack is being made already.")
    assert EvidencePack.objects.get().requested_at == before


def test_it_is_asked_for_again(client, alice, made):
    client.force_login(alice)

    client.post(address(made))

    assert EvidencePack.objects.get().is_being_made
    assert "Download evidence pack" in client.get(address(made, "operation")).text


def test_who_may_only_look_cannot_ask_but_download(client, bob, made):
    client.force_login(bob)

    assert client.post(address(made)).status_code == 403
    assert not EvidencePack.objects.get().is_being_made
    assert client.get(address(made, "download_evidence_pack")).status_code == 200


def test_there_is_nothing_for_an_operation_that_does_not_exist(client, alice, zone):
    client.force_login(alice)

    assert client.post("/certificates/operations/77/evidence-pack/").status_code == 404
    assert client.get("/certificates/operations/77/evidence-pack/file").status_code == 404


def test_dialog_says_what_it_holds(client, alice, make_operation):
    client.force_login(alice)

    page = client.get(address(make_operation("overlap"))).text

    for said in ("Who decided", "What was proven", "Which certificates", "Make evidence pack"):
        assert said in page


def test_page_says_what_is_in_it_and_its_digest(client, bob, made):
    client.force_login(bob)

    page = client.get(address(made, "operation")).text

    assert "0 proofs of 3 devices" in page
    assert "AB:AB:AB" in page
    assert "added when it is destroyed" in page
    assert 'id="evidence-pack"' not in page


def test_page_says_why_it_could_not_be_made(client, alice, made):
    EvidencePack.objects.update(problem="The key is not on this server.")
    client.force_login(alice)

    page = client.get(address(made, "operation")).text

    assert "The key is not on this server. It is tried again by itself." in page


def test_download_is_the_file_as_it_was_made(client, bob, made):
    client.force_login(bob)

    response = client.get(address(made, "download_evidence_pack"))

    assert response.content == bytes(EvidencePack.objects.get().content)
    assert response["Content-Type"] == "application/zip"
    name = f"demo-zone-remint-ca-{made.created_at:%Y-%m-%d}.evidence.zip"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'


def test_there_is_no_download_before_it_is_made(client, alice, make_operation):
    operation = make_operation("overlap")
    client.force_login(alice)
    client.post(address(operation))

    assert client.get(address(operation, "download_evidence_pack")).status_code == 404
