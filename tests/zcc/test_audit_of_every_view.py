"""Whatever changes something in Devices or System Updates leaves an event: who, when, what."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices import folders, mobiles
from devices.models import Device, EnrolmentLink, Folder, Kind, RegistrationKey
from devices.urls import urlpatterns as of_devices
from systemupdates import stages
from systemupdates.models import DeploymentStage, ExcludedServer, Replication, SystemUpdate
from systemupdates.models.device_update import State
from systemupdates.urls import urlpatterns as of_updates
from tests.devices.enrolment_links import server
from tests.people_and_devices import alice, bob, make_device, make_update, now, zone
from zcc.ground.models import AuditEvent

__all__ = ["alice", "bob", "make_device", "make_update", "now", "server", "zone"]

# Of each view that takes a POST: what it is about, what is sent, what the event says.
DEVICES = {
    "settings": ("ws1", {"names": "a.test.zone"}, "Additional DNS names"),
    "set_test_device": ("ws1", {"is_test": "on"}, "Test device"),
    "refresh_device": ("ws1", {}, "Refresh Device"),
    "retire_device": ("ws1", {}, "Retired"),
    "bring_back_device": ("old", {}, "Brought back"),
    "device_schedule": (
        "ws1",
        {"override": "on", "number": "2", "unit": "hours"},
        "Refresh schedule",
    ),
    "enrol_device": (None, {"kind": "server", "folder": "/"}, "Registration key created"),
    "enrol_mobile": (None, {"name": "p", "folder": "/", "days": "7"}, "Enrolment link made"),
    "enrol_mobile_again": ("phone", {"days": "7"}, "Re-enrolment link made"),
    "end_user_page": ("phone", {}, "End-user page made"),
    "end_end_user_page": ("phone", {}, "End-user page ended"),
    "withdraw_enrolment_link": (EnrolmentLink, {}, "Re-enrolment link withdrawn"),
    "create_registration_key": (
        None,
        {"name": "k", "folder": "/", "days": "7"},
        "Registration key created",
    ),
    "revoke_registration_key": (RegistrationKey, {}, "Registration key revoked"),
    "create_folder": (Folder, {"name": "Lab"}, "Folder created"),
    "rename_folder": (Folder, {"name": "Bergen"}, "Folder renamed"),
    "delete_folder": (Folder, {}, "Folder deleted"),
    "move_devices": (None, {"device": "ws1", "folder": Folder}, "Moved"),
    "folder_schedule": (
        Folder,
        {"override": "on", "number": "2", "unit": "hours"},
        "Refresh schedule",
    ),
    "zone_schedule": (None, {"number": "2", "unit": "hours"}, "Refresh schedule"),
}
UPDATES = {
    "replication_settings": (
        None,
        {"mode": "interval", "number": "2", "unit": "hours"},
        "Content replication",
    ),
    "exclude_server": ("cache", {}, "Excluded from content replication"),
    "include_server": ("left-out", {}, "Included in content replication"),
    "replicate_now": (Replication, {}, "Replicate now"),
    "create_stage": (None, {"name": "Branches"}, "Stage created"),
    "rename_stage": (DeploymentStage, {"name": "PILOT"}, "Stage renamed"),
    "delete_stage": (DeploymentStage, {}, "Stage deleted"),
    "shift_stage": (DeploymentStage, {"to": "down"}, "Stage moved"),
    "assign_stage": (None, {"device": "ws1", "stage": DeploymentStage}, "Deployment stage"),
    "redeploy_update": (SystemUpdate, {"device": "failed"}, "Redeploy"),
    "refresh_devices": (SystemUpdate, {"device": "ws1"}, "Refresh Device"),
    "ignore_device": (SystemUpdate, {"device": "ws1"}, "Ignore Device"),
    "baseline_update": (SystemUpdate, {}, "Baseline"),
    "delete_update": (SystemUpdate, {}, "Delete"),
}
VIEWS = [(f"devices:{stem}", *row) for stem, row in DEVICES.items()]
VIEWS += [(f"systemupdates:{stem}", *row) for stem, row in UPDATES.items()]


@pytest.fixture
def filled(server, zone, make_device, make_update, now):
    """A zone in which every button has something to change."""
    for name in ("ws1", "failed"):
        make_device(name)
    make_device("phone", kind=Kind.MOBILE)
    make_device("cache", kind=Kind.SERVER, is_content_satellite=True)
    update = make_update(assigned=True)
    make_device("old", retired_at=now)
    left_out = make_device("left-out", kind=Kind.SERVER, is_content_satellite=True)
    ExcludedServer.objects.create(server=left_out)
    update.device_updates.filter(device__name="failed").move(to=State.FAILED, by=None, at=now)
    phone = Device.objects.get(name="phone")
    mobiles.make_page(phone, by=None, now=now)
    mobiles.make_link_again(phone, lifetime=timedelta(days=1), by=None, now=now)
    RegistrationKey.objects.create(zone=zone, name="Oslo", key_hash="ab", created_at=now)
    folders.ensure(zone, "/Workstations/Oslo", by=None, now=now)
    stages.create(zone, "Pilot", by=None, now=now)
    stages.create(zone, "Everyone", by=None, now=now)
    AuditEvent.objects.all().delete()


def found(what):
    """The row that a name of a device or a model means here."""
    if isinstance(what, str):
        return Device.objects.get(name=what)
    if what is Folder:
        return Folder.objects.get(path="/Workstations/Oslo")
    return what.objects.missing().get() if what is Replication else what.objects.first()


def prepare(name, now):
    """What must be over before some buttons can be pressed."""
    if name in ("systemupdates:baseline_update", "systemupdates:delete_update"):
        update = SystemUpdate.objects.get()
        servers = update.device_updates.filter(device__kind=Kind.PRIMARY_SERVER)
        servers.move(to=State.COMPLETED, by=None, at=now)
    if name == "systemupdates:delete_update":
        SystemUpdate.objects.get().baseline(by=None, at=now)


@pytest.mark.parametrize(("name", "about", "sent", "said"), VIEWS)
def test_change_leaves_an_event(client, alice, filled, now, name, about, sent, said):
    prepare(name, now)
    AuditEvent.objects.all().delete()
    data = {
        key: found(value).pk if value in ("ws1", "failed") or isinstance(value, type) else value
        for key, value in sent.items()
    }
    client.force_login(alice)

    response = client.post(reverse(name, args=[found(about).pk] if about else []), data)

    assert response.status_code in (200, 302, 303)
    event = AuditEvent.objects.filter(what=said).first()
    assert event is not None
    assert event.by == alice
    assert event.at >= now
    assert event.subject


def test_no_view_is_forgotten(client, alice, filled):
    client.force_login(alice)
    taking = set()
    for space, patterns in (("devices", of_devices), ("systemupdates", of_updates)):
        for entry in patterns:
            args = [4711] if "<int:pk>" in str(entry.pattern) else []
            name = f"{space}:{entry.name}"
            if client.post(reverse(name, args=args)).status_code != 405:
                taking.add(name)

    assert taking == {name for name, *_ in VIEWS}


def test_no_event_holds_a_secret(client, alice, filled):
    client.force_login(alice)

    key = client.post(
        reverse("devices:create_registration_key"), {"name": "k", "folder": "/", "days": "7"}
    ).context["key"]
    link = client.post(
        reverse("devices:enrol_mobile"), {"name": "p", "folder": "/", "days": "7"}
    ).context["secret"]

    rows = [str(row) for row in AuditEvent.objects.values()]
    assert len(key) > 30 and len(link) > 30
    assert not [row for row in rows if key in row or link in row]
    assert EnrolmentLink.objects.count() == 2


@pytest.mark.parametrize(("name", "about", "sent", "said"), VIEWS)
def test_who_may_only_look_leaves_no_event(client, bob, filled, name, about, sent, said):
    client.force_login(bob)

    response = client.post(reverse(name, args=[found(about).pk] if about else []))

    assert response.status_code == 403
    assert not AuditEvent.objects.exists()
