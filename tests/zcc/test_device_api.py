"""What devices call: over the ASGI interface, with a zone's rows and home behind it."""

import asyncio
import json
from datetime import timedelta

import pytest

from certificates import installing, trust
from certificates.installing import InternalCA
from certificates.joining import NewServer
from certificates.models import ServerCertificate
from devices import actions as devices
from devices import folders, schedules
from devices.models import Device, Folder, RegistrationKey
from systemupdates import actions as updates
from systemupdates.models import DeviceUpdate, Replication
from zcc import device_api
from zcc.ground import clock, here

SERVER = NewServer(name="ps1", dns_name="ps1.test.zone", addresses=["127.99.0.1"])


class Api:
    """Calls the application as uvicorn would."""

    def __init__(self):
        now = clock.now()
        ca = InternalCA(common_name="TEST", key_type="ec-p256")
        self.zone = installing.set_up_zone("TEST", SERVER, ca, home=here.home("ps1"), now=now)
        self.key = devices.create_registration_key(self.zone, name="test", now=now)
        self.token = None

    def call(self, method, path, body=b"", headers=()):
        status, text = self.raw(method, path, body, headers)
        return status, json.loads(text) if text else None

    def raw(self, method, path, body=b"", headers=()):
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        asyncio.run(device_api.app(scope, receive, send))
        return sent[0]["status"], sent[1]["body"]

    def enrol(self, **changes):
        fields = {"key": self.key, "name": "ws1", "kind": "workstation", "version": "1.0.0"}
        return self.call("POST", "/device/enrol", json.dumps(fields | changes).encode())

    def refresh(self, *, token=None, body=None, **report):
        token = token or self.token
        headers = [(b"authorization", b"Bearer " + token.encode())] if token else []
        return self.call("POST", "/device/refresh", body or json.dumps(report).encode(), headers)

    def join(self, **changes):
        status, answer = self.enrol(**changes)
        assert status == 200, answer
        self.token = answer["token"]
        return Device.objects.get(guid=answer["device"])


# Handlers run in threads with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path
    monkeypatch.setenv(here.VARIABLE, "ps1")
    return Api()


def test_ping_answers(api):
    assert api.call("GET", "/device/ping") == (204, None)


@pytest.mark.parametrize("path", ["/.well-known/est", "/.well-known/est/"])
def test_enrolment_link_opened_in_a_browser_says_whom_it_is_for(api, path):
    status, text = api.raw("GET", path)

    assert status == 404
    assert b"for the EST client of a mobile (RFC 7030), not for a browser" in text


def test_anchors_are_those_of_the_zone(api):
    status, answer = api.call("GET", "/device/anchors")

    assert status == 200
    assert answer["anchors"] == trust.wanted(api.zone)["anchors"]


def test_device_enrols_with_a_key_and_refreshes_with_its_token(api):
    device = api.join()

    status, answer = api.refresh(epoch=0, trust=[])

    assert status == 200
    assert answer["manifest"] == trust.published(api.zone).envelope
    assert answer["next_refresh"] == timedelta(hours=12).total_seconds()
    device.refresh_from_db()
    assert device.last_contact_at is not None


def test_agent_is_told_the_schedule_of_its_folder(api):
    device = api.join()
    folders.ensure(api.zone, "/Workstations/Oslo", by=None, now=clock.now())
    oslo = Folder.objects.get(path="/Workstations/Oslo")
    folders.move([device], oslo, by=None, now=clock.now())
    schedules.set_for_folder(oslo, timedelta(hours=2), tell=False, by=None, now=clock.now())

    _, answer = api.refresh()

    assert answer["next_refresh"] == timedelta(hours=2).total_seconds()


def test_token_is_stored_as_a_hash_only(api):
    api.join()

    assert api.token not in str(Device.objects.filter(name="ws1").values())


def test_device_that_has_the_newest_manifest_gets_none(api):
    device = api.join()
    published = trust.published(api.zone)
    _, answer = api.refresh(epoch=published.epoch, trust=trust.anchors_in(published))

    assert answer["manifest"] is None
    device.refresh_from_db()
    assert device.trust_epoch == published.epoch


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "wrong"}, "registration key is unknown"),
        ({"name": "ps1"}, "is a Primary Server"),
        ({"name": ""}, "1 to 253 printable"),
        ({"name": "a\nb"}, "1 to 253 printable"),
        ({"kind": "toaster"}, "server or workstation"),
        ({"addresses": ["300.0.0.1"]}, "not an IP address"),
        ({"addresses": "127.0.0.1"}, "is a list"),
        ({"roles": ["admin"]}, "no Satellite role"),
        ({"roles": ["authentication"], "dns_name": "ps1.test.zone"}, "belongs to ps1"),
    ],
)
def test_enrolment_is_refused_with_a_sentence(api, changes, sentence):
    status, answer = api.enrol(**changes)

    assert status == 403
    assert sentence in answer["error"]
    assert Device.objects.count() == 1


@pytest.mark.parametrize("roles", [[], ["authentication"]], ids=["device", "Satellite"])
def test_device_in_contact_cannot_be_replaced_by_another(api, roles):
    api.join(name="auth1", roles=roles, addresses=["127.99.0.12"])
    api.refresh()

    status, answer = api.enrol(name="auth1")

    assert status == 403
    assert "auth1 is in contact." in answer["error"]
    assert "ticks that they replace auth1" in answer["error"]
    assert api.refresh()[0] == 200


@pytest.mark.parametrize("way", ["silent", "replaced", "never refreshed"])
def test_device_that_was_installed_again_takes_its_own_place(api, way):
    device = api.join()
    rows = Device.objects.filter(pk=device.pk)
    if way != "never refreshed":
        api.refresh()
    if way == "silent":
        rows.update(last_full_refresh_at=clock.now() - timedelta(hours=25))
    if way == "replaced":
        RegistrationKey.objects.update(replaces=device)

    assert api.enrol()[1]["device"] == str(device.guid)
    assert api.refresh()[0] == 401  # the agent of before


def test_key_that_replaces_one_device_replaces_no_other(api):
    other = api.join(name="ws2")
    api.join()
    api.refresh()
    RegistrationKey.objects.update(replaces=other)

    assert api.enrol()[0] == 403


def test_registration_key_does_not_bring_a_retired_device_back(api):
    device = api.join()
    Device.objects.filter(pk=device.pk).update(retired_at=clock.now())

    assert "is retired" in api.enrol()[1]["error"]


def test_registration_key_ends(api):
    RegistrationKey.objects.update(expires_at=clock.now())
    assert api.enrol()[0] == 403

    RegistrationKey.objects.update(expires_at=None, uses_left=1)
    assert [api.enrol()[0], api.enrol(name="ws2")[0]] == [200, 403]


@pytest.mark.parametrize("token", ["unknown", None])
def test_refresh_without_a_known_token_is_refused(api, token):
    assert api.refresh(token=token)[0] == 401


def test_retired_device_is_refused(api):
    device = api.join()
    Device.objects.filter(pk=device.pk).update(retired_at=clock.now())

    status, answer = api.refresh()

    assert status == 403
    assert "retired" in answer["error"]


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    json.dumps({"clock": 5, "trust": "x", "epoch": -1, "steps": {}, "content": 1}).encode(),
    json.dumps(
        {"steps": [1, {}, {"update": "../..", "state": "pending", "attempt": "x"}]}
    ).encode(),
    json.dumps(
        {"epoch": 10**30, "trust": [{}] * 500, "addresses": ["x"], "version": "v" * 999}
    ).encode(),
    json.dumps(
        {"certificates": [{"csr": "!!", "slot": 3}, {"csr": "AAAA", "slot": "current"}]}
    ).encode(),
]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_never_fails_the_server(api, body):
    api.join(roles=["authentication", "content"])

    status, _ = api.refresh(body=body)

    assert status in (200, 400)


def test_body_over_the_limit_is_refused(api):
    api.join()

    assert api.refresh(body=b"x" * (device_api.MAX_BODY + 1))[0] == 413


def test_unknown_call_is_not_found(api):
    assert api.call("GET", "/device/secrets")[0] == 404


def test_authentication_satellite_cannot_change_the_names_of_its_certificate(api):
    device = api.join(roles=["authentication"], addresses=["127.99.0.12"])

    api.refresh(addresses=["127.99.0.1"], dns_name="ps1.test.zone")

    device.refresh_from_db()
    assert (device.addresses, device.dns_name) == (["127.99.0.12"], "ws1")


def assigned_update(api):
    ps1, now = Device.objects.get(name="ps1"), clock.now()
    update = updates.create_update(api.zone, name="U", initiating_server=ps1, by=None, now=now)
    updates.start_replication(update, sha256="ab" * 32, size=5, now=now)
    updates.assign(update, by=None, now=now)
    return update


def test_device_waits_for_its_turn_and_then_gets_the_update(api):
    api.join()
    update = assigned_update(api)
    assert api.refresh()[1]["update"] is None

    update.open_wave(2)
    order = api.refresh()[1]["update"]

    assert (order["id"], order["attempt"], order["sha256"]) == (str(update.guid), 1, "ab" * 32)
    assert order["sources"] == ["http://127.99.0.1:7481"]


def test_reported_steps_move_the_device_forward_and_never_back(api):
    device = api.join()
    update = assigned_update(api)
    row = DeviceUpdate.objects.get(device=device)

    def report(state, attempt=1):
        step = {"update": str(update.guid), "attempt": attempt, "state": state, "reason": ""}
        api.refresh(steps=[step])
        row.refresh_from_db()
        return row.state

    assert [report("download"), report("pending"), report("download")] == [
        "download",
        "pending",
        "pending",
    ]
    assert report("completed", attempt=2) == "pending"
    assert list(row.events.values_list("state", flat=True)) == ["assigned", "download", "pending"]


def test_device_reports_about_itself_only(api):
    api.join(name="ws2")
    other = DeviceUpdate.objects
    first = api.join(name="ws1")
    update = assigned_update(api)

    api.refresh(
        steps=[{"update": str(update.guid), "attempt": 1, "state": "failed", "reason": "x"}]
    )

    assert other.get(device__name="ws2").state == "assigned"
    assert other.get(device=first).reason == "x"


def test_late_comer_gets_the_update_too(api):
    update = assigned_update(api)
    with_operation = DeviceUpdate.objects.filter(update=update)

    updates.add_late_comer(update, api.join(name="late"), now=clock.now())

    assert with_operation.filter(device__name="late").count() == 1


def test_content_satellite_that_enrols_during_the_update_gets_the_content_too(api):
    update = assigned_update(api)
    cache = api.join(name="cache9", roles=["content"], addresses=["127.99.0.19"])

    for _ in range(2):
        updates.add_late_comer(update, cache, now=clock.now())

    assert [item["sha256"] for item in api.refresh()[1]["content"]] == [update.content_sha256]
    assert updates.servers_without_content(update).filter(pk=cache.pk).count() == 1


def test_content_satellite_is_told_when_it_is_due_and_reports(api):
    cache = api.join(name="cache1", roles=["content"], addresses=["127.99.0.11"])
    update = assigned_update(api)
    wanted = api.refresh()[1]["content"]
    assert [item["sha256"] for item in wanted] == [update.content_sha256]

    api.refresh(content=[{"sha256": update.content_sha256, "state": "available", "size": 5}])

    assert Replication.objects.get(server=cache).is_available
    ws = api.join(name="ws9")
    update.open_wave(2)
    updates.add_late_comer(update, ws, now=clock.now())
    assert api.refresh()[1]["update"]["sources"][0] == "http://127.99.0.11:7481"


def test_content_satellite_that_lost_its_copy_is_not_counted(api):
    cache = api.join(name="cache1", roles=["content"], addresses=["127.99.0.11"])
    item = {"sha256": assigned_update(api).content_sha256, "size": 5}
    api.refresh(content=[{**item, "state": "available"}])

    told = api.refresh(content=[{**item, "state": "replicating"}])[1]["content"]

    row = Replication.objects.get(server=cache)
    assert (row.state, row.received) == ("failed", 0)
    assert [row["sha256"] for row in told] == [item["sha256"]]
    api.refresh(content=[{**item, "state": "available"}])
    assert Replication.objects.get(server=cache).is_available


def test_authentication_satellite_asks_for_its_first_certificate(api):
    api.join(roles=["authentication"], addresses=["127.99.0.12"])

    slot = api.refresh()[1]["certificates"][0]

    assert (slot["slot"], slot["chain"], slot["key_type"]) == ("current", None, "ec-p256")
    assert slot["ip_addresses"] == ["127.99.0.12"]
    assert not ServerCertificate.objects.filter(device__name="ws1").exists()
