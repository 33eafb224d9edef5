"""The dialog `Change CA` from step to step: what is kept, shown, and forgotten."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from certificates.actions import change_ca
from certificates.models import CertificateAuthority, ChangeCADraft, Operation
from devices.models import Device
from pki import describe
from tests.certificates import building
from tests.certificates.building import PASSWORD, make_person
from tests.certificates.changing_ca import URL, current_step, upload
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

DISCARD = f"{URL}discard/"


def test_what_stands_under_the_other_choice_does_not_count(dialog, to_external, internal, last):
    assert current_step(dialog(to_external, years="0", server="", common_name="")) == "csr"
    assert current_step(dialog(internal, root=upload(b"hello"))) == "activation"


def test_back_keeps_what_was_typed_right_or_wrong_but_no_password(dialog, to_external, csr, last):
    dialog(to_external)
    dialog(csr)
    before = dialog(last, go="back", activation_date="", policy="strict")
    assert current_step(before) == "csr"
    assert 'value="Acme AS"' in before.text
    assert current_step(dialog(csr, go="back", country="Norway")) == "authority"

    draft = ChangeCADraft.objects.get()
    assert draft.answers["activation"]["policy"] == "strict"
    assert PASSWORD not in str(draft.answers)
    again = dialog(to_external, root="")  # the file is known
    assert current_step(again) == "csr"
    assert 'value="Norway"' in again.text


def test_file_that_was_just_chosen_is_shown(dialog, to_external, acme):
    response = dialog(to_external, go="read", confirmed="", years="x")

    assert current_step(response) == "authority"
    fingerprint = describe.describe(acme.root).sha256
    for text in ("Read from chain.pem", "Acme Issuing CA", "Acme Root CA", fingerprint):
        assert text in response.text
    assert "The chain has an intermediate." in response.text
    assert_is_refused(dialog(to_external, go="read", root=upload(b"x")), "holds no certificate")


@pytest.mark.parametrize("go", ["read", "next"])
def test_refusal_stays_until_another_file_is_chosen(dialog, to_external, acme, go):
    known = to_external | {"root": ""}
    assert current_step(dialog(to_external, go="read")) == "authority"

    refused = dialog(to_external, go=go, root=upload(b"hello", "wrong.pem"))

    for response in (refused, dialog(known), dialog(known)):
        assert_is_refused(response, "wrong.pem: The file holds no certificate")
        assert "Read from" not in response.text  # the file before it does not count any more
    assert current_step(dialog(to_external, root=upload(acme.chain))) == "csr"
    assert current_step(dialog(known)) == "csr"


def test_it_is_an_older_ca_that_vouches_while_the_active_one_is_external(
    dialog, to_external, csr, ca, now
):
    CertificateAuthority.objects.update(state="superseded")
    newer = building.make_authority(ca.zone, ca.server, now, generation=2)
    CertificateAuthority.objects.filter(pk=newer.pk).update(kind="external")
    dialog(to_external)

    text = dialog(csr).text

    assert f"{ca.named}, will vouch for the new one." in text
    assert "Servers send this link until you retire that CA" in text
    assert "The active CA will vouch" not in text


def test_what_will_be_trusted_and_vouched_for_is_shown(dialog, to_external, csr, acme):
    dialog(to_external)

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


def test_last_step_says_what_was_chosen(dialog, internal, to_external, csr):
    def chosen(response):
        return dict(response.context["summary"])

    assert chosen(dialog(internal)) == {
        "Certificate server": "ps2",
        "Subject": "DEMO-ZONE",
        "Key Length": "EC P-384",
        "Valid for": "5 years",
        "Additional DNS names": "Included",
    }
    dialog(to_external)
    assert chosen(dialog(csr, include_additional_dns_names="")) == {
        "CSRs": "Made by 3 servers",
        "Subject of each": "CN=its DNS name, O=Acme AS, OU=PKI, L=Oslo, ST=Oslo, C=NO",
        "Key Length": "RSA 2048",
        "Additional DNS names": "Not included",
    }
    assert "into remint-repo" in chosen(dialog(csr, csr_mode="manual"))["CSRs"]


def test_where_no_link_is_possible_the_rescue_port_is_named(dialog, ca, internal, now):
    CertificateAuthority.objects.update(kind="external")

    text = dialog(internal).text

    assert "No link is possible." in text
    assert "comes in by the rescue port" in text
    assert "The key that signs what devices are told moves from ps1 to ps2" in text


def test_ca_that_has_expired_vouches_for_nobody(dialog, to_external, csr, now):
    CertificateAuthority.objects.update(expires_at=now)
    dialog(to_external)

    text = dialog(csr).text

    assert "The active CA has expired: it vouches for nobody." in text
    assert "Immediate" in text
    assert "will vouch for" not in text


def test_backup_comes_first_from_the_first_step_to_the_last(client, dialog, to_external, csr):
    fresh = client.get(URL).text
    read = dialog(to_external, go="read").text
    dialog(to_external, root="")
    last = dialog(csr)
    assert current_step(last) == "activation"

    for page in (fresh, read, last.text):
        assert "Back up first." in page


def test_backup_opens_beside_a_draft_and_is_not_asked_for_twice(client, ca, internal, now):
    carol = make_person("carol", "manage_certificates", "back_up_ca")
    client.force_login(carol)
    first = client.get(URL).text
    finish = client.post(URL, internal).text
    building.note_backup(ca, by=carol, at=now)
    after = client.post(URL, internal).text

    assert 'hx-get="/certificates/backup-ca/"' in first
    assert 'href="/certificates/backup-ca/" target="_blank"' in finish
    assert ChangeCADraft.objects.exists()
    assert "Back up first." not in after


def test_same_root_is_said(dialog, ca, to_external, csr):
    CertificateAuthority.objects.update(kind="external")
    dialog(to_external, root=upload(ca.x509().public_bytes(Encoding.PEM)))

    assert "Only the servers&#x27; certificates change." in dialog(csr).text


def test_closing_leaves_no_trace(client, dialog, to_external):
    dialog(to_external)
    draft = ChangeCADraft.objects.get()

    assert client.post(DISCARD, {"draft": draft.guid}).status_code == 204

    assert not ChangeCADraft.objects.exists()
    assert client.post(DISCARD, {"draft": draft.guid}).status_code == 204
    assert_is_refused(dialog({"step": "csr", "draft": str(draft.guid)}), "This dialog was closed")


def test_draft_that_was_left_alone_for_a_day_is_forgotten(dialog, to_external, ca, now):
    dialog(to_external)

    assert change_ca.forget_drafts(ca.zone, now=now + timedelta(hours=23)) == 0
    assert change_ca.forget_drafts(ca.zone, now=now + timedelta(hours=25)) == 1


def test_looking_at_it_leaves_no_trace(client, dialog):
    client.get(URL)

    assert not ChangeCADraft.objects.exists()


def test_draft_of_somebody_else_is_not_shown(client, dialog, to_external):
    dialog(to_external)
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


def test_chosen_time_is_judged_by_the_new_root(client, dialog, to_external):
    dialog(to_external)
    CertificateAuthority.objects.update(expires_at=timezone.now() + timedelta(days=10_000))
    draft = ChangeCADraft.objects.get()
    asked = {"draft": draft.guid, "activation_date": "2040-01-01", "activation_time": "02:00"}

    text = client.get(f"{URL}time/", asked).text

    assert "Sunday 1 January 2040, 02:00" in text
    assert "The new root expires before that" in text
