"""The button `Change CA`: what each step refuses, and what `Finish` begins."""

import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from certificates.models import CertificateAuthority, ChangeCADraft, Operation
from devices.models import Device
from pki import describe
from tests.certificates.changing_ca import URL, current_step, upload
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


def test_change_to_an_internal_ca_on_another_server(
    dialog, ca, alice, servers, internal, last, activate_at
):
    assert current_step(dialog(internal)) == "activation"
    assert_is_closed(dialog(last))

    operation = Operation.objects.get()
    assert (operation.kind, operation.old_ca, operation.created_by) == ("change_ca", ca, alice)
    assert (operation.initiating_server, operation.key_type) == (servers[1], "ec-p384")
    assert (operation.years, operation.activate_at) == (5, activate_at)
    assert [(event.state, event.by) for event in operation.events.all()] == [("preparing", alice)]
    assert operation.servers.count() == 3
    assert not ChangeCADraft.objects.exists()


def test_change_to_an_external_ca(dialog, ca, alice, to_external, csr, last, acme):
    assert current_step(dialog(to_external)) == "csr"
    assert current_step(dialog(csr)) == "activation"
    assert_is_closed(dialog(last, without_certificate="go_on"))

    operation = Operation.objects.get()
    future = CertificateAuthority.objects.get(guid=operation.guid)
    assert (future.kind, future.state, future.generation) == ("external", "future", 2)
    assert future.sha256 == describe.fingerprint(acme.root)
    assert future.intermediates == acme.intermediates
    assert operation.csr_subject == {
        "O": "Acme AS", "OU": "PKI", "L": "Oslo", "ST": "Oslo", "C": "NO",
    }  # fmt: skip
    assert (operation.csr_mode, operation.key_type) == ("automatic", "rsa-2048")
    assert operation.without_certificate == "go_on"
    assert operation.initiating_server == ca.server
    assert [(event.state, event.by) for event in operation.events.all()] == [("preparing", alice)]


def test_message_says_that_it_has_been_initiated(client, dialog, internal, last):
    dialog(internal)
    dialog(last)

    assert "The Change CA operation has been initiated." in client.get("/certificates/").text


def test_csrs_made_by_hand_need_no_subject(dialog, to_external, csr, last):
    dialog(to_external)
    dialog(csr, csr_mode="manual", country="Norway", organization="x" * 99)
    assert_is_closed(dialog(last))

    operation = Operation.objects.get()
    assert (operation.csr_mode, operation.csr_subject) == ("manual", {})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("confirmed", "", "Tick the box if you want to change the certificate authority."),
        ("change_to", "other", "Select a valid choice"),
        ("server", "999999", "Select a valid choice"),
        ("common_name", "", "Enter a subject"),
        ("common_name", "x" * 65, "64"),
        ("common_name", "party \U0001f389", "symbol or emoji"),
        ("key_type", "rsa-1024", "rsa-1024"),
        ("years", "0", "A CA is valid for 1 to 10 years."),
        ("years", "11", "A CA is valid for 1 to 10 years."),
    ],
)
def test_bad_internal_ca_gets_a_sentence(dialog, internal, field, value, sentence):
    assert_is_refused(dialog(internal | {field: value}), sentence)
    assert not ChangeCADraft.objects.exists()


def test_satellite_and_retired_server_are_not_offered(client, dialog, servers, internal, now):
    Device.objects.filter(name="ps2").update(retired_at=now)

    for server in servers[1:]:
        assert_is_refused(dialog(internal, server=str(server.pk)), "Select a valid choice")
    assert "ps1 (CA server today)" in client.get(URL).text


def test_bad_root_gets_a_sentence_and_the_name_of_what_is_missing(dialog, to_external, acme):
    alone = acme.intermediate.public_bytes(Encoding.DER)
    for data, sentence in [
        (alone, 'the issuer "CN=Acme Root CA, O=Acme" is missing'),
        (b"", "The file holds no certificate"),
        (b"hello", "The file holds no certificate"),
        (bytes(1024 * 1024 + 1), "The file is larger than 1 MiB."),
    ]:
        response = dialog(to_external, root=upload(data))
        assert_is_refused(response, sentence.replace('"', "&quot;"))


def test_external_ca_needs_a_file(dialog, to_external):
    assert_is_refused(dialog(to_external, root=""), "Choose the file with the trusted root")
    assert not ChangeCADraft.objects.exists()


def test_change_in_overlap_is_asked_first(dialog, make_operation, internal, last):
    overlap = make_operation("overlap")

    page = " ".join(dialog(internal).text.split())

    assert f"1 previous CA is still trusted:</b> {overlap.old_ca.named}." in page
    assert_is_refused(dialog(last), "Tick the box if you want another CA beside those")
    assert Operation.objects.get() == overlap
    assert_is_closed(dialog(last, although_trusted="on"))
    assert Operation.objects.open().get().old_ca == overlap.new_ca


def test_nobody_is_asked_when_no_previous_ca_is_trusted(dialog, internal):
    assert "still trusted" not in dialog(internal).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("csr_mode", "", "Choose how the CSR of each server is generated."),
        ("organization", "x" * 65, "at most 64 fit into a certificate"),
        ("organization_unit", "left\u202eright", "writing direction"),
        ("locality", "x" * 129, "at most 128 fit"),
        ("country", "Norway", "A country is written with two letters, such as NO."),
        ("country", "1!", "A country is written with two letters"),
        ("key_type", "dsa", "dsa"),
    ],
)
def test_bad_csr_step_gets_a_sentence(dialog, to_external, csr, field, value, sentence):
    dialog(to_external)

    assert_is_refused(dialog(csr | {field: value}), sentence)
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("activation_date", "2020-01-01", "This time has passed."),
        ("activation_date", "2040-01-01", "The new root expires before that"),
        ("activation_date", "2126-01-01", "The active CA expires before that"),
        ("activation_date", "soon", "This is not a date."),
        ("activation_time", "", "Choose a time."),
        ("policy", "", "Choose Overlap or Strict."),
        ("without_certificate", "", "Choose what happens to a server without a certificate."),
        ("password", "wrong", "This is not your password."),
        ("password", "", "Enter your password."),
    ],
)
def test_bad_activation_gets_a_sentence(dialog, to_external, csr, last, field, value, sentence):
    CertificateAuthority.objects.update(expires_at=timezone.now() + timedelta(days=10_000))
    dialog(to_external)
    dialog(csr)

    assert_is_refused(dialog(last | {field: value}), sentence)
    assert not Operation.objects.exists()


def test_who_may_only_look_cannot(client, bob, ca, internal):
    client.force_login(bob)

    assert client.get(URL).status_code == 403
    assert client.post(URL, internal).status_code == 403
    assert client.post(f"{URL}discard/").status_code == 403
    assert not ChangeCADraft.objects.exists()


def test_change_is_refused_while_another_operation_is_open(
    client, dialog, make_operation, internal, last
):
    dialog(internal)
    open_operation = make_operation()

    assert_is_refused(dialog(last), "Remint CA is in progress.")
    assert Operation.objects.get() == open_operation
    assert "Remint CA is in progress." in client.get("/certificates/").text


def test_differing_versions_are_refused_by_name(dialog, internal, last):
    dialog(internal)
    Device.objects.filter(name="ps2").update(version="0.9")

    assert_is_refused(dialog(last), "Change CA needs the same version on all servers.")
    assert not Operation.objects.exists()


def test_change_of_a_ca_that_has_expired_is_immediate(dialog, internal, last, now):
    CertificateAuthority.objects.update(expires_at=now)
    dialog(internal)

    assert_is_closed(dialog(last))

    assert Operation.objects.get().is_immediate


def test_silent_satellite_is_refused_until_it_is_waived(dialog, internal, last, now):
    Device.objects.filter(name="auth1").update(last_contact_at=now - timedelta(days=3))
    dialog(internal)

    assert_is_refused(dialog(last), "The version of auth1 is not known")
    assert_is_closed(dialog(last, waive_silent="on"))


def test_dialog_shows_its_fields(client, dialog):
    text = client.get(URL).text

    for label in (
        "Change Certificate Authority",
        "Yes, I want to change the certificate authority",
        "Change to internal certificate authority",
        "Change to external certificate authority",
        "Certificate server",
        "Subject",
        "Key Length",
        "Valid for (years)",
        "Include any additional DNS names for each server",
        "Trusted root certificate",
    ):
        assert label in text
    assert 'accept=".der,.cer,.crt,.p7b,.pem,.cert"' in text
    assert 'value="DEMO-ZONE"' in text


def test_csr_step_shows_its_fields(dialog, to_external):
    text = dialog(to_external).text

    for label in (
        "I will generate a CSR for each server manually",
        "Let ZENworks generate a CSR automatically for each server",
        "Organization",
        "Organization Unit",
        "City/Locality",
        "State/Province",
        "Country/region",
        "Key Length",
        "Include any additional DNS names for each server",
    ):
        assert label in text


def test_date_that_cannot_be_is_said_on_top_and_at_its_field_only(dialog, internal, last):
    dialog(internal)

    page = dialog(last, activation_date="2020-01-01").text

    sentence = re.search(r">Date: ([^<]+)</a>", page)[1]
    assert page.count(sentence) == 2
