"""`Generate CSR` for selected servers, and the requests as files."""

import io
import zipfile

import pytest
from cryptography import x509
from django.urls import reverse

from certificates.forms import ChangeCSRForm, GenerateCSRForm
from certificates.models import ServerCertificate, ServerProgress
from devices.models import Device
from tests.certificates import building
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

URL = "/certificates/generate-csr/"
DATA = {"O": "Acme", "OU": "IT", "L": "", "ST": "", "C": "no", "key_type": "ec-p384"}


def asked(servers, **changes):
    return {**DATA, "server": [server.pk for server in servers], **changes}


def numbers():
    return list(
        ServerProgress.objects.order_by("device__name").values_list("request_number", flat=True)
    )


def test_selected_servers_are_asked_for_another_request(client, alice, external, servers):
    client.force_login(alice)
    ps1, ps2, _ = servers

    assert_is_closed(client.post(URL, asked([ps1, ps2])))

    assert numbers() == [0, 1, 1]  # auth1, ps1, ps2
    wishes = ServerProgress.objects.select_related("operation").get(device=ps1).wishes
    assert wishes.fields == {"O": "Acme", "OU": "IT", "C": "NO"}
    assert (wishes.key_type, wishes.include_additional_dns_names) == ("ec-p384", False)
    assert not ServerCertificate.objects.coming().filter(device__in=[ps1, ps2]).exists()
    event = external.operation.events.last()
    assert (event.by, event.note) == (alice, "Generate CSR for ps1 and ps2")


def test_it_is_the_same_when_requests_were_to_be_made_by_hand(
    client, alice, make_external, servers
):
    external = make_external(csr_mode="manual")
    client.force_login(alice)

    assert_is_closed(client.post(URL, asked(servers[:1])))

    progress = external.operation.servers.select_related("operation")
    assert [row.is_by_hand for row in progress.order_by("device__name")] == [True, False, True]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("C", "Norway", "A country or region has two letters"),
        ("O", "x" * 65, "Organization has 65 characters; at most 64 fit."),
        ("ST", "a\u202eb", "State/Province contains a character that cannot be seen."),
        ("key_type", "rsa-512", "Select a valid choice."),
        ("server", [], "No server is selected. Tick those you mean."),
    ],
)
def test_what_does_not_fit_is_refused(client, alice, external, servers, field, value, sentence):
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers, **{field: value})), sentence)
    assert numbers() == [0, 0, 0]


def test_wildcard_name_is_refused_with_the_advice(client, alice, external, servers):
    Device.objects.filter(name="ps2").update(additional_dns_names=["*.demo.zone"])
    client.force_login(alice)

    answer = client.post(URL, asked(servers, include_additional_dns_names="on"))

    assert_is_refused(answer, "ps2: *.demo.zone is a wildcard.")
    assert "made by another tool" in answer.text
    assert numbers() == [0, 0, 0]


def test_who_may_only_look_cannot(client, bob, external, servers):
    client.force_login(bob)

    assert client.post(URL, asked(servers)).status_code == 403
    assert numbers() == [0, 0, 0]


def test_it_is_impossible_without_an_external_ca_or_once_armed(
    client, alice, make_operation, servers
):
    make_operation("replicating")
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers)), "Only while the zone changes")


def test_it_is_impossible_for_a_server_that_is_about_to_switch(
    client, alice, external, servers, now
):
    for server in servers:
        ServerCertificate.objects.filter(device=server).coming().move(to="future", sha256="ab" * 32)
    building.assign(external.operation, now)
    building.arm(external.operation, now)
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers[:1])), "ps1 is about to switch.")


def test_dialog_shows_the_fields_of_the_manual_filled_in(client, alice, external, servers):
    client.force_login(alice)

    page = client.get(f"{URL}?server={servers[0].pk}&server={servers[2].pk}").text

    for label in ("Organization", "Organization Unit", "City/Locality", "State/Province",
                  "Country/region", "Key Length", "Include any additional DNS names"):  # fmt: skip
        assert label in page
    assert 'value="Acme"' in page
    assert "Satellite: at its next refresh" in page


# Download CSR


def test_request_of_one_server_is_a_file(client, bob, external, servers):
    client.force_login(bob)

    answer = client.get(reverse("certificates:download_csr", args=[servers[0].pk]))

    assert answer["Content-Disposition"] == f'attachment; filename="ps1-{servers[0].pk}.csr"'
    assert x509.load_pem_x509_csr(answer.content).is_signature_valid


def test_all_requests_are_one_zip(client, alice, external, servers):
    client.force_login(alice)

    answer = client.get(reverse("certificates:download_csrs", args=[external.operation.pk]))

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert len(archive.namelist()) == 3
        for name in archive.namelist():
            assert x509.load_pem_x509_csr(archive.read(name)).is_signature_valid


def test_hostile_name_of_a_device_makes_a_plain_file_name(client, alice, external, servers):
    name = '../x"\u202e' + "y" * 200
    Device.objects.filter(pk=servers[0].pk).update(name=name)
    client.force_login(alice)

    answer = client.get(reverse("certificates:download_csr", args=[servers[0].pk]))

    file_name = answer["Content-Disposition"].partition("filename=")[2]
    assert "/" not in file_name and file_name.count('"') == 2 and file_name.isascii()


def test_there_is_nothing_to_download_of_an_internal_ca(client, alice, make_operation, servers):
    operation = make_operation("replicating")
    client.force_login(alice)

    for url in (
        reverse("certificates:download_csr", args=[servers[0].pk]),
        reverse("certificates:download_csrs", args=[operation.pk]),
    ):
        assert client.get(url).status_code == 404


def test_example_of_a_country_is_the_one_of_the_dialog_change_ca():
    assert (
        GenerateCSRForm.base_fields["C"].help_text == ChangeCSRForm.base_fields["country"].help_text
    )
