"""`Import Certificate` says what becomes of the activation, and of which time it speaks."""

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from certificates import importing
from certificates.models import Operation, ServerCertificate
from zcc.ground import clock

URL = "/certificates/import-certificate/"
AT_ONCE = "the zone switches at once, within seconds, when the last certificate is here."
NOW = "the zone switches now, within seconds"


@pytest.fixture
def overdue(client, alice, external):
    """Held past its time because certificates are missing."""
    client.force_login(alice)
    rows = Operation.objects.filter(pk=external.operation.pk)
    passed = clock.now() - timedelta(minutes=5)
    rows.update(state="assigned", activate_at=passed, held_reason="No certificate.")
    return external


def send(client, external, *servers):
    files = [SimpleUploadedFile(f"{one.name}.pem", external.sign(one)) for one in servers]
    return client.post(URL, {"certificates": files}).text


def test_last_certificate_of_a_held_operation_is_said_to_switch_the_zone(client, overdue, servers):
    assert AT_ONCE in client.get(URL).text
    assert AT_ONCE in send(client, overdue, *servers[:2])

    page = send(client, overdue, servers[2])

    assert NOW in page and "has passed" in page
    assert AT_ONCE not in page


def test_before_its_time_the_activation_is_named_with_its_time_of_day(client, alice, external):
    client.force_login(alice)
    soon = clock.now() + timedelta(minutes=20)
    Operation.objects.filter(pk=external.operation.pk).update(activate_at=soon)

    page = client.get(URL).text

    assert f"Activation {soon:%a} {soon.day} {soon:%b %Y, %H:%M} UTC." in page
    assert "switches at once" not in page


def test_operation_that_does_not_wait_for_certificates_does_not_switch_by_them(
    overdue, servers, now
):
    Operation.objects.update(without_certificate="go_on")
    overdue.operation.refresh_from_db()
    ServerCertificate.objects.coming().filter(device=servers[0]).move(to="future")

    said = importing.what_follows(overdue.operation, is_complete=False, now=clock.now())

    assert said.endswith("has passed.")


def test_late_server_switches_when_its_certificate_is_here(external, now):
    external.operation.activated_at = now

    assert "as soon as" in importing.what_follows(external.operation, is_complete=False, now=now)
    assert importing.what_follows(external.operation, is_complete=True, now=now) == ""


def test_replaced_csr_is_told_by_its_time_of_day(client, alice, external, servers):
    client.force_login(alice)
    old = external.sign(servers[1])
    ServerCertificate.objects.filter(device=servers[1]).coming().move(to="cancelled")
    first, external.now = external.now, external.now + timedelta(minutes=7)
    external.request(servers[1])

    page = client.post(URL, {"certificates": [SimpleUploadedFile("a.pem", old)]}).text

    first_at, then = (f"{at.day} {at:%b %Y, %H:%M}" for at in (first, external.now))
    assert f"the CSR of {first_at}, which was replaced on {then}." in page


def test_history_heads_imports_and_requests_by_what_they_are(client, alice, external, servers):
    client.force_login(alice)
    send(client, external, servers[0])
    wishes = {"key_type": "ec-p256", "O": "Acme", "server": servers[1].pk}
    client.post(reverse("certificates:generate_csr"), wishes)

    page = client.get(reverse("certificates:operation", args=[external.operation.pk])).text

    heads = re.findall("<h3>([^<]*)</h3><p>By Alice Berg", page)
    assert heads[:2] == ["CSR asked for", "Certificates imported"]
