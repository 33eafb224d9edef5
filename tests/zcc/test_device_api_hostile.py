"""What a broken or hostile device sends: refused or passed over, never a failure of the server."""

import asyncio
import json
import random

import pytest

from devices.models import Device
from systemupdates.models import DeviceUpdate, Replication
from tests.zcc.test_device_api import api, assigned_update
from zcc import device_api

__all__ = ["api"]

pytestmark = pytest.mark.django_db(transaction=True)

NUL, HALF = "\x00", "\ud800"
REPORTS = [
    {"steps": [{"update": "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz", "state": "pending"}]},
    {"steps": [{"update": NUL, "state": "pending"}, {"update": HALF, "state": "pending"}]},
    {"clock": "0001-01-01T00:00:00+14:00"},
    {"clock": "9999-12-31T23:59:59-14:00"},
    {"version": f"1{NUL}0{HALF}"},
    {"version": {"a": [1]}},
    {"trust": [NUL, HALF, "ab", {}, 5, "g" * 64]},
    {"epoch": 2**62 - 1},
    {"epoch": True},
    {"epoch": float("nan")},
    {"epoch": float("inf")},
    {"content": [{"sha256": NUL, "state": "available"}, {"sha256": HALF, "state": "failed"}]},
    {"content": [{"sha256": "ab" * 32, "state": "failed", "error": NUL + HALF, "size": 2**61}]},
    {"certificates": [{"slot": "current", "state": "active", "leaf": NUL}]},
    {"certificates": [{"slot": "future", "operation": HALF, "state": "staged", "csr": HALF}]},
    {"addresses": [NUL, {}, [], None]},
]


@pytest.mark.parametrize("report", REPORTS)
def test_report_that_makes_no_sense_is_passed_over(api, report):
    api.join(roles=["authentication", "content"], addresses=["127.99.0.12"])
    assigned_update(api)

    status, answer = api.refresh(**report)

    assert status == 200
    assert answer["next_refresh"] > 0


def test_only_fingerprints_are_kept_of_what_a_device_trusts(api):
    device = api.join()

    api.refresh(trust=["cd" * 32, NUL, "<b>", "ab" * 32, 7])

    device.refresh_from_db()
    assert device.trusted_fingerprints == ["ab" * 32, "cd" * 32]


@pytest.mark.parametrize("attempt", [2**61, 70_000, -1, "1", None, 1.5])
def test_step_of_an_impossible_attempt_changes_nothing(api, attempt):
    api.join()
    update = assigned_update(api)
    step = {"update": str(update.guid), "attempt": attempt, "state": "pending"}

    assert api.refresh(steps=[step])[0] == 200
    assert DeviceUpdate.objects.get(device__name="ws1").state == "assigned"


def test_reason_is_stored_whatever_it_holds(api):
    api.join()
    update = assigned_update(api)
    step = {"update": str(update.guid), "attempt": 1, "state": "failed", "reason": NUL + "x" * 999}

    api.refresh(steps=[step])

    assert DeviceUpdate.objects.get(device__name="ws1").reason == "?" + "x" * 399


@pytest.mark.parametrize(
    "fields",
    [{"key": HALF}, {"key": NUL}, {"key": None}, {"key": {}}, {"name": HALF}, {"dns_name": NUL}],
)
def test_enrolment_with_halves_of_characters_is_refused(api, fields):
    assert api.enrol(**fields)[0] == 403
    assert Device.objects.count() == 1


def test_version_is_stored_whatever_it_holds(api):
    assert api.join(version=f"1.0{NUL}{HALF}").version == "1.0??"


@pytest.mark.parametrize("address", ["127.99.0.1", " 127.99.0.1"])
def test_satellite_cannot_enrol_with_the_address_of_a_server(api, address):
    status, answer = api.enrol(roles=["authentication"], addresses=["127.99.0.9", address])

    assert (status, answer["error"]) == (
        403,
        "127.99.0.1 belongs to ps1. An address belongs to one server only.",
    )


def test_device_cannot_report_content_of_another_server(api):
    api.join(name="cache1", roles=["content"], addresses=["127.99.0.11"])
    update = assigned_update(api)
    api.join(name="cache2", roles=["content"], addresses=["127.99.0.12"])

    api.refresh(content=[{"sha256": update.content_sha256, "state": "available", "size": 5}])

    assert not Replication.objects.get(server__name="cache1").is_available


def test_addresses_of_version_six_stand_in_brackets(api):
    Device.objects.filter(name="ps1").update(addresses=["fd00::1"])

    _, answer = api.enrol()

    assert answer["servers"] == ["https://[fd00::1]:7444"]


def scramble(value, chance):
    """Replace parts of a report by what does not belong there."""
    if chance.random() < 0.15:
        odd = [None, -1, 2**70, "", NUL, HALF, [], {}, True, 0.5, "x" * 5000, [[[]]]]
        return chance.choice(odd)
    if isinstance(value, dict):
        return {key: scramble(item, chance) for key, item in value.items()}
    if isinstance(value, list):
        return [scramble(item, chance) for item in value]
    return value


def test_scrambled_reports_never_fail_the_server(api):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    api.join(roles=["authentication", "content"], addresses=["127.99.0.12"])
    update = assigned_update(api)
    good = {
        "version": "1.0",
        "addresses": ["127.99.0.12"],
        "clock": "2026-11-24T03:00:00Z",
        "trust": ["ab" * 32],
        "epoch": 1,
        "steps": [{"update": str(update.guid), "attempt": 1, "state": "pending", "reason": ""}],
        "content": [{"sha256": "ab" * 32, "state": "available", "size": 5, "error": ""}],
        "certificates": [
            {"slot": "current", "operation": None, "csr": "AAAA", "leaf": None, "state": "clean"}
        ],
    }

    for _ in range(150):
        report = scramble(good, chance)
        body = json.dumps(report).encode()
        assert api.refresh(body=body)[0] in (200, 400), (seed, report)


def test_endless_body_is_cut_off(api):
    asked = []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/device/refresh", "headers": []}
    asyncio.run(device_api.app(scope, receive, send))

    assert sent[0]["status"] == 413
    assert len(asked) == 5
