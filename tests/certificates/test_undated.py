"""Why 100 % has no date in the forecast of an operation: by whom, and by which causes."""

from datetime import timedelta

import pytest

from certificates import forecast_view
from certificates.actions import forecasts
from certificates.forecast_view import Cause, Misses, Outlook
from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building


@pytest.fixture
def workstations(zone, servers, now):
    return [
        building.make_device(zone, f"ws-{number}", now, kind="workstation") for number in range(4)
    ]


@pytest.fixture
def look(client, alice, zone, now):
    """Make the forecast of an operation; return the page and what the note is made of."""
    client.force_login(alice)

    def see(operation, *, anew=True):
        if anew:
            forecasts.make(zone, now=now)
        outlook = Outlook(forecast_view.of_operation(operation), operation, now=now)
        return client.get("/certificates/").text, outlook

    return see


def unproven(workstations, now):
    """They hold the new CA and found no server that shows its certificate."""
    rows = DeviceUpdate.objects.filter(device__in=workstations)
    rows.update(state="pending", proof_problem="No canary answers.")


@pytest.fixture
def waiting(workstations, external, now):
    building.assign(external.operation, now)
    unproven(workstations, now)
    return external.operation


def test_missing_certificates_alone_are_singled_out(waiting, look):
    page, outlook = look(waiting)

    assert outlook._causes == {Cause.CERTIFICATE: 7}
    assert "100 % has no date yet: 7 devices wait for the servers" in page
    assert (
        "not seen for too long" not in page and "It goes on by itself when they are here." in page
    )


@pytest.mark.parametrize("is_external", [True, False])
def test_nobody_is_said_to_fail_a_proof_that_nothing_can_pass(
    workstations, look, request, now, is_external
):
    if is_external:
        operation = request.getfixturevalue("waiting")
    else:
        operation = request.getfixturevalue("make_operation")("assigned")
        operation.servers.update(staged_at=None)
        unproven(workstations, now)
    Device.objects.update(last_contact_at=now)

    page, _ = look(operation)
    before = forecast_view.of_operation(operation)
    names = {one.straggler.device.name: one for one in Misses(before, now, now=now).names}

    assert "Its proof failed" not in page
    assert names["ws-0"].brief == "No server has its certificate yet."
    assert names["ws-0"].brief in page
    assert names["ws-0"].reason.endswith("It has nothing to prove itself by.")

    operation.servers.filter(device__name="ps1").update(staged_at=now)
    assert "Its proof failed: No canary answers." in look(operation, anew=False)[0]


def test_other_causes_are_named_beside_them(waiting, look, now):
    Device.objects.filter(name="ws-0").update(last_contact_at=now - timedelta(days=30))
    DeviceUpdate.objects.filter(device__name="ws-0").update(state="assigned", proof_problem="")
    DeviceUpdate.objects.filter(device__name="ws-1").update(state="failed")

    page, outlook = look(waiting)

    assert "7 devices are not expected." in page
    said = "the update failed, or a server has no certificate yet, or not seen for too long."
    assert outlook.why_undated == said.removesuffix(".") and said in page


def test_failed_proof_counts_as_one_once_a_server_shows_its_certificate(waiting, look, now):
    waiting.servers.filter(device__name="ps1").update(staged_at=now)

    _, outlook = look(waiting)

    assert set(outlook._causes) == {Cause.CERTIFICATE, Cause.PROOF_FAILED}


def test_who_has_come_since_the_forecast_is_not_counted(look, workstations, make_operation, now):
    operation = make_operation("assigned")
    rows = Device.objects.filter(name__in=["ws-0", "ws-1", "ws-2"])
    rows.update(last_contact_at=now - timedelta(days=30))
    assert "3 devices are not expected." in look(operation)[0]

    DeviceUpdate.objects.filter(device__name="ws-0").update(state="completed")

    page, outlook = look(operation, anew=False)
    assert "2 devices are not expected." in page and "and 1 more" not in page
    assert "Look at 2 devices at risk." in page and "View all 2" in page
    assert (outlook.more_undated, outlook.why_undated) == (0, "not seen for too long")


def test_silent_server_is_silent_until_the_update_is_assigned(external, look, servers, now):
    silent = Device.objects.filter(pk=servers[2].pk)
    silent.update(last_contact_at=now - timedelta(days=30))

    page, outlook = look(external.operation)

    assert outlook.why_undated == "not seen for too long"
    assert "1 device is not expected." in page
