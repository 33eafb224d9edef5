"""The button `Change CA`: its steps, what each refuses, and what `Finish` begins."""

import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from certificates.models import CertificateAuthority, ChangeCADraft, Operation
from devices.models import Device
from pki import describe
from tests.certificates.building import PASSWORD, make_person
from tests.certificates.dialogs import assert_is_closed, assert_is_refused
from tests.certificates.external_ca import ExternalCA

URL = "/certificates/change-ca/"
DISCARD = f"{URL}discard/"


@pytest.fixture
def activate_at(now):
    return (now + timedelta(days=1)).replace(second=0, microsecond=0)


@pytest.fixture
def when(activate_at):
    local = timezone.localtime(activate_at)
    return {"activation_date": f"{local:%Y-%m-%d}", "activation_time": f"{local:%H:%M}"}


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    return ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")


@pytest.fixture
def internal(servers):
    return {
        "step": "authority",
        "confirmed": "on",
        "change_to": "internal",
        "server": str(servers[1].pk),
        "common_name": "DEMO-ZONE",
        "key_type": "ec-p384",
        "years": "5",
        "include_additional_dns_names": "on",
    }


def upload(data, name="chain.pem"):
    return SimpleUploadedFile(name, data)


@pytest.fixture
def external(internal, acme):
    return internal | {"change_to": "external", "root": upload(acme.chain)}


@pytest.fixture
def csr():
    return {
        "step": "csr",
        "csr_mode": "automatic",
        "organization": "Acme AS",
        "organization_unit": "PKI",
        "locality": "Oslo",
        "state": "Oslo",
        "country": "no",
        "key_type": "rsa-2048",
        "include_additional_dns_names": "on",
    }


@pytest.fixture
def last(when):
    return {
        "step": "activation",
        "policy": "overlap",
        "without_certificate": "hold",
        "password": PASSWORD,
    } | when


@pytest.fixture
def dialog(client, alice, ca):
    """Alice in the dialog: it is sent a step, and the draft with it."""
    client.force_login(alice)

    def send(step, **changes):
        draft = ChangeCADraft.objects.filter(by=alice).last()
        known = {"draft": str(draft.guid)} if draft else {}
        return client.post(URL, known | step | changes)

    return send


def current_step(response):
    assert response.status_code == 200, response.text
    return re.search(r'name="step" value="(\w+)"', response.text)[1]


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


def test_change_to_an_external_ca(dialog, ca, alice, external, csr, last, acme):
    assert current_step(dialog(external)) == "csr"
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


def test_csrs_made_by_hand_need_no_subject(dialog, external, csr, last):
    dialog(external)
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


def test_bad_root_gets_a_sentence_and_the_name_of_what_is_missing(dialog, external, acme):
    alone = acme.intermediate.public_bytes(Encoding.DER)
    for data, sentence in [
        (alone, 'the issuer "CN=Acme Root CA, O=Acme" is missing'),
        (b"", "The file holds no certificate"),
        (b"hello", "The file holds no certificate"),
        (bytes(1024 * 1024 + 1), "The file is larger than 1 MiB."),
    ]:
        response = dialog(external, root=upload(data))
        assert_is_refused(response, sentence.replace('"', "&quot;"))
    assert_is_refused(dialog(external, root=""), "Choose the file with the trusted root")
    assert not ChangeCADraft.objects.exists()


def test_what_stands_under_the_other_choice_does_not_count(dialog, external, internal, last):
    assert current_step(dialog(external, years="0", server="", common_name="")) == "csr"
    assert current_step(dialog(internal, root=upload(b"hello"))) == "activation"


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
def test_bad_csr_step_gets_a_sentence(dialog, external, csr, field, value, sentence):
    dialog(external)

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
def test_bad_activation_gets_a_sentence(dialog, external, csr, last, field, value, sentence):
    CertificateAuthority.objects.update(expires_at=timezone.now() + timedelta(days=10_000))
    dialog(external)
    dialog(csr)

    assert_is_refused(dialog(last | {field: value}), sentence)
    assert not Operation.objects.exists()


def test_back_keeps_what_was_typed_right_or_wrong_but_no_password(dialog, external, csr, last):
    dialog(external)
    dialog(csr)
    before = dialog(last, go="back", activation_date="", policy="strict")
    assert current_step(before) == "csr"
    assert 'value="Acme AS"' in before.text
    assert current_step(dialog(csr, go="back", country="Norway")) == "authority"

    draft = ChangeCADraft.objects.get()
    assert draft.answers["activation"]["policy"] == "strict"
    assert PASSWORD not in str(draft.answers)
    again = dialog(external, root="")  # the file is known
    assert current_step(again) == "csr"
    assert 'value="Norway"' in again.text


def test_file_that_was_just_chosen_is_shown(dialog, external, acme):
    response = dialog(external, go="read", confirmed="", years="x")

    assert current_step(response) == "authority"
    fingerprint = describe.describe(acme.root).sha256
    for text in ("Read from chain.pem", "Acme Issuing CA", "Acme Root CA", fingerprint):
        assert text in response.text
    assert "The chain has an intermediate." in response.text
    assert_is_refused(dialog(external, go="read", root=upload(b"x")), "holds no certificate")


def test_what_will_be_trusted_and_vouched_for_is_shown_before_finish(dialog, external, csr, acme):
    dialog(external)

    text = dialog(csr).text

    for said in (
        describe.describe(acme.root).sha256,
        "CN=Acme Root CA, O=Acme",
        "The active CA will vouch for the new one.",
        "It holds for these names alone: demo.zone and 127.0.0.1.",
        "If a server has no certificate by then",
        "Certificate activation date and time",
        "Finish",
    ):
        assert said in text


def test_where_no_link_is_possible_the_rescue_port_is_named(dialog, ca, internal, now):
    CertificateAuthority.objects.update(kind="external")

    text = dialog(internal).text

    assert "No link is possible." in text
    assert "comes in by the rescue port" in text
    assert "The key that signs what devices are told moves from ps1 to ps2" in text


def test_same_root_is_said(dialog, ca, external, csr):
    CertificateAuthority.objects.update(kind="external")
    dialog(external, root=upload(ca.x509().public_bytes(Encoding.PEM)))

    assert "Only the servers&#x27; certificates change." in dialog(csr).text


def test_closing_leaves_no_trace(client, dialog, external):
    dialog(external)
    draft = ChangeCADraft.objects.get()

    assert client.post(DISCARD, {"draft": draft.guid}).status_code == 204

    assert not ChangeCADraft.objects.exists()
    assert client.post(DISCARD, {"draft": draft.guid}).status_code == 204
    assert_is_refused(dialog({"step": "csr", "draft": str(draft.guid)}), "This dialog was closed")


def test_looking_at_it_leaves_no_trace(client, dialog):
    client.get(URL)

    assert not ChangeCADraft.objects.exists()


def test_draft_of_somebody_else_is_not_shown(client, dialog, external):
    dialog(external)
    draft = ChangeCADraft.objects.get()
    client.force_login(make_person("carol", "manage_certificates"))

    response = client.post(URL, {"step": "csr", "draft": str(draft.guid), "go": "back"})

    assert_is_refused(response, "This dialog was closed")
    client.post(DISCARD, {"draft": draft.guid})
    assert ChangeCADraft.objects.get() == draft


@pytest.mark.parametrize("draft", ["no-guid", "", "'; --"])
def test_odd_draft_is_no_draft(dialog, internal, draft):
    assert current_step(dialog(internal, draft=draft)) == "activation"


def test_last_step_sent_twice_begins_one_operation(client, dialog, internal, last):
    dialog(internal)
    twice = last | {"draft": str(ChangeCADraft.objects.get().guid)}

    assert_is_closed(client.post(URL, twice))
    assert_is_closed(client.post(URL, twice))

    assert Operation.objects.count() == 1


def test_server_that_was_retired_meanwhile_leads_back_to_its_step(dialog, internal, last, now):
    dialog(internal)
    Device.objects.filter(name="ps2").update(retired_at=now)

    response = dialog(last)

    assert_is_refused(response, "Select a valid choice")
    assert 'name="step" value="authority"' in response.text


def test_who_may_only_look_cannot(client, bob, ca, internal):
    client.force_login(bob)

    assert client.get(URL).status_code == 403
    assert client.post(URL, internal).status_code == 403
    assert client.post(DISCARD).status_code == 403
    assert not ChangeCADraft.objects.exists()


def test_change_is_refused_while_another_operation_is_open(
    client, dialog, make_operation, internal, last
):
    dialog(internal)
    open_operation = make_operation()

    assert_is_refused(dialog(last), "Remint CA is in progress.")
    assert Operation.objects.get() == open_operation
    assert "Remint CA is in progress." in client.get("/certificates/").text


def test_expired_ca_and_differing_versions_are_refused(dialog, internal, last, now):
    dialog(internal)
    Device.objects.filter(name="ps2").update(version="0.9")
    assert_is_refused(dialog(last), "Change CA needs the same version on all servers.")

    CertificateAuthority.objects.update(expires_at=now)
    assert_is_refused(dialog(last), "The active CA expires before that")
    assert not Operation.objects.exists()


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


def test_csr_step_shows_its_fields(dialog, external):
    text = dialog(external).text

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


def test_chosen_time_is_judged_by_the_new_root(client, dialog, external):
    dialog(external)
    CertificateAuthority.objects.update(expires_at=timezone.now() + timedelta(days=10_000))
    draft = ChangeCADraft.objects.get()
    asked = {"draft": draft.guid, "activation_date": "2040-01-01", "activation_time": "02:00"}

    text = client.get(f"{URL}time/", asked).text

    assert "Sunday 1 January 2040, 02:00" in text
    assert "The new root expires before that" in text
