"""Who is ready: one meaning on every page. See docs/glossary.md."""

import pytest

from certificates import readiness
from certificates.answers import answers
from certificates.attention import NeedsAttention
from certificates.devices_at_risk import at_risk
from certificates.models import ServerCertificate
from certificates.server_rows import server_rows
from certificates.standing import Standing
from certificates.timeline import Timeline
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building


@pytest.fixture
def ws1(zone, now):
    return building.make_device(zone, "ws-1", now, kind="workstation")


@pytest.fixture
def all_trust(zone, now):
    """Every device of the operation has applied the update and trusts the new CA."""

    def apply(operation):
        trusted = [operation.old_ca.sha256, operation.new_ca.sha256]
        Device.objects.filter(zone=zone).update(trusted_fingerprints=trusted)
        DeviceUpdate.objects.filter(update=operation.update).move(to="pending", by=None, at=now)

    return apply


def ready(operation):
    rows = readiness.counted(operation).filter(readiness.is_ready(operation))
    return set(rows.values_list("device__name", flat=True))


def prove(operation, name):
    leaf = ServerCertificate.objects.filter(operation=operation).exclude(sha256="").first().sha256
    DeviceUpdate.objects.filter(update=operation.update, device__name=name).update(proof_leaf=leaf)


def test_device_that_trusts_the_new_ca_is_ready_once_it_has_proven_it(
    ws1, make_operation, all_trust
):
    operation = make_operation("assigned")
    all_trust(operation)
    assert ready(operation) == {"ps1", "ps2"}

    prove(operation, "ws-1")
    assert ready(operation) == {"ps1", "ps2", "ws-1"}


def test_server_that_has_only_a_request_is_not_ready(external, zone, now, all_trust):
    external.operation.mark_assigned(by=None, at=now)
    DeviceUpdate.objects.bulk_create(
        DeviceUpdate(update=external.operation.update, device=device, changed_at=now)
        for device in Device.objects.filter(zone=zone)
    )
    all_trust(external.operation)
    assert ready(external.operation) == set()

    ServerCertificate.objects.coming().filter(device__name="ps1").update(
        state="future", sha256="ab" * 32
    )
    assert ready(external.operation) == {"ps1"}


def test_pages_say_the_same_number(client, alice, ws1, make_operation, all_trust, zone, now):
    operation = make_operation("assigned")
    all_trust(operation)
    client.force_login(alice)
    standing = Standing(zone, now=now)
    total = standing.counts.counted
    number = len(ready(operation))

    needs = NeedsAttention(standing)
    said = answers(standing, server_rows(standing), at_risk(standing), needs)
    assert said.happening.say == f"Remint CA: {number * 100 // total} % of devices are ready."
    lines = [line.text for step in Timeline(standing).steps() for line in step.lines]
    assert f"{number} of {total} ready" in lines
    for url in ("/", "/certificates/", f"/certificates/operations/{operation.pk}/"):
        page = client.get(url).text
        assert f"{number} of {total} ready.</b> {total} trust the new CA, 0 proven" in page


def test_nobody_is_said_to_be_ready_after_the_activation(client, alice, make_operation):
    make_operation("overlap")
    client.force_login(alice)

    page = client.get("/certificates/").text

    assert "trust the new CA" in page and " ready.</b>" not in page
