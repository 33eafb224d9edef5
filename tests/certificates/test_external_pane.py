"""What the page says while certificates of an external CA are to come, and who needs a refresh."""

from datetime import timedelta

import pytest
from cryptography import x509
from django.urls import reverse

from certificates.models import Operation, ServerCertificate
from certificates.models.certificate import Certificate
from certificates.refresh_needed import refresh_needed
from devices.models import Device
from tests.certificates import building

INDEX = "/certificates/"


@pytest.fixture(autouse=True)
def signed_in(client, alice):
    client.force_login(alice)


def take(external, server, **columns):
    """Leave what an import leaves."""
    rows = ServerCertificate.objects.coming().filter(device=server)
    leaf = x509.load_pem_x509_certificate(external.sign(server))
    facts = {**Certificate.columns(leaf), "available_at": external.now}
    rows.move(to="future", authority=external.root, **(facts | columns))


def test_page_says_what_to_do_by_when(client, external, zone):
    page = client.get(INDEX).text

    assert "Change CA waits for 3 certificates." in page
    assert "Import 3 certificates by" in page
    assert "too little time before" in page
    assert "What you must do next" in page
    assert "3 of 3, made by the servers themselves." in page
    assert "Import the signed certificates: 0 of 3 imported" in page
    assert page.count("CSR generated") == 3
    assert page.count("Download CSR of ") == 3


def test_page_says_so_when_it_is_too_late_for_everyone(client, external, now):
    Operation.objects.update(activate_at=now + timedelta(hours=1))

    assert "Import 3 certificates now." in client.get(INDEX).text


def test_imported_certificate_is_called_so(client, external, servers):
    take(external, servers[0])

    page = client.get(INDEX).text

    assert page.count(">Certificate imported<") == 1
    assert "Import 2 certificates by" in page
    assert "Missing: auth1 and ps2." in page


@pytest.mark.parametrize(
    ("choice", "words"),
    [("hold", "is held until every server"), ("go_on", "they stay on their old certificate")],
)
def test_page_says_what_was_decided_for_servers_without_one(client, make_external, choice, words):
    make_external(without_certificate=choice)

    assert words in client.get(INDEX).text


def test_by_hand_each_row_says_what_to_put_where_and_what_is_wrong(client, make_external):
    external = make_external(csr_mode="manual")
    problem = "server.pem in remint-repo is a symbolic link. Put the file itself there."
    external.operation.servers.filter(device__name="ps2").update(problem=problem)

    page = client.get(INDEX).text

    assert "Put 3 certificates in place by" in page
    assert page.count(">Certificate missing<") == 3
    assert page.count("put server.pem, with its chain, and key.der into its remint-repo") == 2
    assert page.count(problem) == 1


def test_all_columns_show_what_is_missing_too(client, make_external):
    make_external(csr_mode="manual")

    assert client.get(f"{INDEX}?columns=all").text.count("Certificate missing") == 3


def test_menu_says_why_something_is_not_possible(client, external):
    page = client.get(INDEX).text

    assert "Replaces a CSR made before" in page
    assert "Change CA is in progress, and brings every server a new certificate." in page


# Refresh needed


@pytest.fixture
def renamed(external, servers, zone, now):
    """Every Primary Server has its certificate; that of ps1 has another subject."""
    for server in servers:
        take(external, server)
    ServerCertificate.objects.filter(device=servers[0], state="future").update(
        subject="CN=ps1.demo.zone, O=Acme"
    )
    before = now - timedelta(hours=2)
    building.make_device(zone, "ws-old", now, kind="workstation", last_full_refresh_at=before)
    building.make_device(
        zone, "ws-new", now, kind="workstation", last_full_refresh_at=now + timedelta(seconds=1)
    )
    Device.objects.filter(name="auth1").update(last_full_refresh_at=now + timedelta(seconds=1))
    return external.operation


def test_devices_that_have_not_refreshed_since_are_counted_and_listed(client, renamed):
    assert "Refresh needed: 1 device" in client.get(INDEX).text

    page = client.get(reverse("certificates:refresh_needed", args=[renamed.pk])).text

    assert "ws-old" in page
    assert "ws-new" not in page


def test_nobody_needs_one_while_a_primary_servers_certificate_is_to_come(renamed):
    ServerCertificate.objects.filter(device__name="ps2", state="future").move(to="cancelled")

    assert not refresh_needed(renamed).exists()


def test_nobody_needs_one_if_every_subject_stays(renamed):
    for row in ServerCertificate.objects.filter(state="future"):
        same = ServerCertificate.objects.current().get(device=row.device).subject
        ServerCertificate.objects.filter(pk=row.pk).update(subject=same)

    assert not refresh_needed(renamed).exists()


def test_changed_subject_counts_with_an_internal_ca_too(client, make_operation, zone, now):
    make_operation("assigned")
    ServerCertificate.objects.filter(device__name="ps1", state="future").update(subject="CN=new")
    building.make_device(zone, "ws1", now, kind="workstation")

    page = client.get(INDEX).text

    assert "Refresh needed: 2 devices" in page  # ws1 and auth1, which have never refreshed
    assert "Import" not in page.partition("What you must do next")[2].partition("</ol>")[0]


def test_refresh_all_asks_them_in_one_click(client, alice, renamed):
    url = reverse("certificates:refresh_needed", args=[renamed.pk])
    assert client.post(url).status_code == 403
    alice.user_permissions.set(building.make_person("x", "manage_devices").user_permissions.all())

    answer = client.post(url, follow=True)

    assert "1 device asked to refresh." in answer.text
    asked = Device.objects.filter(refresh_asked_at__isnull=False)
    assert [device.name for device in asked] == ["ws-old"]
