"""A Satellite that is retired while an operation is open holds nothing up; back, it takes part."""

import pytest

from devices import retirement
from devices.models import Device
from tests.certificates.engine import changing
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock


def retire(device):
    retirement.retire(Device.objects.get(pk=device.pk), by=None, now=clock.now())


def bring_back(device):
    retirement.bring_back(Device.objects.get(pk=device.pk), by=None, now=clock.now())


@pytest.fixture
def auth1(make_satellite):
    auth1 = make_satellite()
    auth1.refresh(4)
    return auth1


def test_its_missing_certificate_holds_the_activation_no_more(living, auth1, tmp_path):
    acme = ExternalCA(tmp_path / "outside")
    operation = changing.to_external(living, acme)
    living.run()
    changing.import_all(acme, operation)
    changing.replicate(living, operation)
    living.run(at=operation.cutoff_at)
    operation.refresh_from_db()
    assert "auth1 has no future certificate" in operation.held_reason

    retire(auth1.row)
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)

    operation.refresh_from_db()
    assert operation.state == "overlap"
    assert operation.servers.get(device=auth1.row).activated_at is None


def test_its_missing_content_holds_the_assignment_no_more(living):
    cache1 = living.add_workstation("cache1")
    facts = {"version": Device.objects.get(name="ps1").version, "last_contact_at": clock.now()}
    Device.objects.filter(pk=cache1.pk).update(is_content_satellite=True, **facts)
    operation = living.reach("replicating")
    operation.update.replications.exclude(server=cache1).update(state="available")
    living.run()
    operation.refresh_from_db()
    assert operation.state == "replicating"

    retire(cache1)
    living.run()

    operation.refresh_from_db()
    assert operation.state == "assigned"


@pytest.mark.parametrize("since", ["before the start", "before the assignment"])
def test_satellite_that_is_back_gets_the_future_certificate(living, auth1, since):
    if since == "before the start":
        retire(auth1.row)
    operation = living.reach("replicating")
    if since == "before the assignment":
        retire(auth1.row)
    living.replicate_now()
    living.run()
    assert not operation.update.device_updates.filter(device=auth1.row).exists()

    bring_back(auth1.row)
    auth1.refresh(5)

    future = operation.server_certificates.get(device=auth1.row)
    assert auth1.home.staged().leaf_sha256 == future.sha256
    assert operation.servers.get(device=auth1.row).staged_at is not None
