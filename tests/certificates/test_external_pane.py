"""What the page says while certificates of an external CA are to come, and who needs a refresh."""

import re
from datetime import timedelta

import pytest
from cryptography import x509
from django.urls import reverse

from certificates.models import CertificateAuthority, Operation, ServerCertificate
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
    assert "If they come later, " in page and "too little time before" in page
    assert "What you must do next" in page
    assert "3 of 3, made by the servers themselves." in page
    assert "Import the signed certificates: 0 of 3 imported" in page
    assert page.count("CSR generated") == 3
    assert page.count("Download CSR of ") == 3


def test_renewal_under_the_same_root_is_not_said_to_need_time_on_devices(client, external):
    old = CertificateAuthority.objects.filter(pk=external.ca.pk)
    old.update(sha256=external.root.sha256)

    page = client.get(INDEX).text

    assert "Import 3 certificates by" in page
    assert "Every device trusts this CA already. Activation" in page
    assert "Only the servers&#x27; certificates change" in page
    assert "too little time" not in page
    assert "carries the new CA" not in page


def test_page_says_so_when_it_is_too_late_for_everyone(client, external, now):
    Operation.objects.update(activate_at=now + timedelta(hours=1))

    assert "Import 3 certificates now." in client.get(INDEX).text


def test_request_waits_for_you_until_the_operation_is_canceled(client, external, alice, now):
    def rows():
        return client.get(INDEX).context["rows"]

    assert [(row.needs_you, len(row.future_options)) for row in rows()] == [(True, 2)] * 3
    external.operation.start_cancel(by=alice, at=now)

    assert [(row.needs_you, row.future_options) for row in rows()] == [(False, [])] * 3
    assert {row.future_line for row in rows()} == {"is removed with the operation"}
    page = client.get(INDEX).text
    assert "ps1 and ps2 are removing what the operation left. auth1 does at the next" in page


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


def test_held_operation_says_that_the_switch_follows_the_import(client, external, servers, now):
    take(external, servers[0])
    external.operation.hold("auth1 and ps2 have no future certificate. Import them.", at=now)

    page = client.get(INDEX).text

    follows = "the activation follows, 10 min later."
    assert f"Import them. As soon as that is mended, {follows}" in page
    assert "Import 2 certificates now." in page
    assert f"Once they are here, {follows}" in page
    assert f"Once nothing holds the operation, {follows}" in page
    assert "The activation, " not in page


def test_by_hand_each_row_says_what_to_put_where_and_what_is_wrong(client, make_external):
    external = make_external(csr_mode="manual")
    problem = "server.pem in remint-repo is a symbolic link. Put the file itself there."
    external.operation.servers.filter(device__name="ps2").update(problem=problem)

    page = client.get(INDEX).text

    assert "Put 3 certificates in place by" in page
    assert page.count(">Certificate missing<") == 3
    assert page.count("put server.pem, with its chain, and key.der into its remint-repo") == 2
    assert page.count(problem) == 1


def test_by_hand_the_folder_is_named_where_it_is_known(client, make_external, settings, tmp_path):
    settings.ZCC_HOME = tmp_path
    home = tmp_path / "servers" / "ps1"
    home.mkdir(parents=True)
    (home / "server.json").write_text("{}")
    make_external(csr_mode="manual")

    page = client.get(INDEX).text

    assert f"ps1 ({home}/remint-repo)" in page
    assert "ps2 (in its home)" in page


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


def test_pane_refreshes_all_in_one_click(client, renamed):
    client.force_login(building.make_person("carol", "manage_devices"))
    page = client.get(INDEX).text
    url = re.search(r'<form method="post" action="(/certificates/[^"]+)">', page)[1]
    assert "Refresh all</button>" in page

    answer = client.post(url, follow=True)

    assert "1 device asked to refresh." in answer.text
    assert Device.objects.get(name="ws-old").refresh_asked_at is not None


def test_who_may_not_manage_devices_is_shown_who_needs_one(client, renamed):
    page = client.get(INDEX).text

    assert "Show them" in page
    assert "Refresh all" not in page


def test_subject_is_spoken_of_by_the_state_of_the_operation(client, renamed, now):
    before = client.get(INDEX).text
    Operation.objects.update(state="overlap", activated_at=now)
    ServerCertificate.objects.filter(state="current").move(to="previous")
    ServerCertificate.objects.filter(state="future").move(to="current")
    after = client.get(INDEX).text

    assert "certificate will have another subject." in before.replace("&#x27;", "'")
    assert "certificate has another subject." in after


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
