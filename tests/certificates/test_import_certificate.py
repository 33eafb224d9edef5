"""The dialog `Import Certificate`: any mix of files, each with its verdict."""

import io
import zipfile

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.files.uploadedfile import SimpleUploadedFile

from certificates import uploads
from certificates.models import ServerCertificate
from tests.certificates.dialogs import assert_is_refused

URL = "/certificates/import-certificate/"


def send(client, *files, **further):
    given = [SimpleUploadedFile(name, data) for name, data in files]
    return client.post(URL, {"certificates": given, **further})


def imported():
    rows = ServerCertificate.objects.filter(state="future").order_by("device__name")
    return [row.device.name for row in rows]


def zipped(*files, **options):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


def test_good_ones_are_imported_and_the_answer_shows_all(client, alice, external, servers):
    client.force_login(alice)
    ps1 = servers[0]
    packed = zipped(("ps1.crt", external.sign(ps1)), ("readme.txt", b"hello"))

    answer = send(client, ("all.zip", packed), ("bad.pem", b"-----BEGIN CERTIFICATE-----\n"))

    assert answer.status_code == 200
    assert imported() == ["ps1"]
    for words in ("ps1.crt", "For ps1. Chain complete", "Not a certificate.", "bad.pem"):
        assert words in answer.text
    assert "1 of 3 certificates are here." in answer.text
    assert "Missing: auth1, ps2." in answer.text
    event = external.operation.events.last()
    assert (event.state, event.by) == ("replicating", alice)
    assert event.note == "Imported the certificates of ps1"


def test_nothing_good_is_a_refusal_that_keeps_the_reasons(client, alice, external):
    client.force_login(alice)

    answer = send(
        client, ("x.pem", external.root.x509().public_bytes(Encoding.PEM)), ("y.pem", b"-----BEGIN")
    )

    assert_is_refused(answer, "Each file has its reason below.")
    assert "y.pem" in answer.text
    assert imported() == []


def test_no_file_is_asked_for(client, alice, external):
    client.force_login(alice)

    assert_is_refused(client.post(URL, {}), "Choose at least one file.")


def test_who_may_only_look_cannot(client, bob, external, servers):
    client.force_login(bob)

    assert send(client, ("a.pem", external.sign(servers[0]))).status_code == 403
    assert imported() == []


def test_it_is_impossible_without_an_external_ca(client, alice, make_operation):
    make_operation("replicating")
    client.force_login(alice)

    page = client.get(URL).text
    assert "Only while the zone changes to an external CA." in page
    assert 'id="begin-change" href="/certificates/change-ca/"' in page
    assert_is_refused(send(client, ("a.pem", b"x")), "Only while the zone changes")


def test_dialog_asks_for_files_of_the_manuals_kinds(client, alice, external, servers):
    client.force_login(alice)

    page = client.get(f"{URL}?server={servers[0].pk}").text

    for text in ("Certificates, chains or ZIPs", ".p7b", "multiple", "Only for ps1."):
        assert text in page
    assert "Change CA to Acme Root CA" in page


def test_dialog_of_one_server_takes_only_its_own(client, alice, external, servers):
    client.force_login(alice)
    ps1, ps2, _ = servers

    answer = send(client, ("a.pem", external.sign(ps2)), server=ps1.pk)

    assert_is_refused(answer, "Its key is that of the CSR of ps2, not of ps1.")
    assert imported() == []


def test_names_of_files_are_shown_as_text(client, alice, external):
    client.force_login(alice)

    answer = send(client, ("../../<script>alert(1)</script>\u202e.pem", b"-----BEGIN"))

    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text


# What an archive may be


BOMB = zipped(("zeros.pem", bytes(64 * 1024 * 1024)))
NESTED = zipped(("inner.zip", zipped(("a.pem", b"x"))))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (BOMB, "It is larger than 1 MiB"),
        (NESTED, "It is an archive within an archive."),
        (zipped(*[(f"{n}.pem", b"x") for n in range(501)]), "holds more than 500 files"),
        (zipped(("a.pem", b"x"))[:-10], "The archive cannot be opened"),
        (b"PK\x03\x04" + bytes(100), "The archive cannot be opened"),
    ],
)
def test_archive_is_opened_within_bounds(client, alice, external, data, sentence):
    client.force_login(alice)

    assert_is_refused(send(client, ("a.zip", data)), sentence)


def test_lying_size_in_an_archive_is_noticed():
    packed = bytearray(zipped(("a.pem", bytes(3 * 1024 * 1024))))
    true_size, lie = (3 * 1024 * 1024).to_bytes(4, "little"), (5).to_bytes(4, "little")

    [file] = uploads.flat([("a.zip", bytes(packed).replace(true_size, lie))])

    assert file.problem
    assert file.data == b""


def test_many_files_are_cut_off_where_it_becomes_too_much():
    found = uploads.flat([("a.pem", bytes(1024 * 1024))] * 20)

    assert sum(len(file.data) for file in found) <= uploads.MAX_TOTAL
    assert found[-1].problem.startswith("Too much at once")
