"""A device and a server of the zone, over real TLS: enrolment, trust, updates, what goes wrong."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from datetime import timedelta

import pytest

from agent import enrol, loop, trust
from agent.client import Refused, Untrusted
from agent.device import Device
from agent.enrol import EnrolmentError, WrongFingerprint
from agent.loop import Bell, Loop
from agent.state import State
from tests.agent.server import ContentServer
from tests.agent.zone import NOW
from tests.ports import free_port


def package(*anchors):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("anchors.pem"), b"".join(anchors))  # at no time of day
    return buffer.getvalue()


@pytest.fixture
def assign(server, zone):
    """Assign the update from the old to the new CA to the devices of `server`."""

    def assign(sources, *, attempt=1, content=None, epoch=2, **changes):
        content = content or package(zone.old.pem, zone.new.pem)
        update = zone.update(content=content, **changes)
        server.publish(epoch=epoch, anchors=[zone.old.pem, zone.new.pem], update=update)
        order = {"id": update["id"], "attempt": attempt, **update["content"], "sources": sources}
        server.extra = {"update": order}
        return update["content"]["sha256"]

    return assign


def turns(device, times=8):
    running = Loop(device, Bell())
    return [running.turn() for _ in range(times)]


def trusted(device):
    return set(trust.fingerprints(trust.current(device.home)))


def test_enrolled_device_trusts_what_the_manifest_says(make_device, zone):
    device, _ = make_device()

    assert trusted(device) == {zone.old.sha256}
    assert (device.identity.device, device.state.epoch) == ("dev-1", 1)


def test_server_with_another_fingerprint_gets_nothing(server, zone, enrolled, tmp_path):
    server.anchors = [zone.new.pem]

    with pytest.raises(WrongFingerprint, match=zone.new.sha256):
        enrolled()

    assert not (tmp_path / "osl-ws-01").exists()


def test_server_that_only_repeats_the_right_ca_gets_nothing(server, zone, enrolled):
    server.show(zone.new)

    with pytest.raises(Untrusted):
        enrolled()


def test_home_of_a_device_is_not_enrolled_twice(enrolled):
    enrolled()

    with pytest.raises(EnrolmentError, match="already"):
        enrolled()


def test_fingerprint_may_have_colons_and_capitals(zone):
    text = ":".join(zone.old.sha256[i : i + 2] for i in range(0, 64, 2)).upper()

    assert enrol.normal_fingerprint(text) == zone.old.sha256


def test_refresh_says_what_the_device_has(make_device, server, zone):
    device, _ = make_device()

    device.refresh(loop.now)

    (request,) = server.requests
    assert request["trust"] == [zone.old.sha256]
    assert (request["epoch"], request["steps"], len(request["peer"])) == (1, [], 64)
    assert "certificates" not in request


def test_update_goes_through_its_steps_and_reports_each(make_device, server, zone, assign):
    device, _ = make_device()
    with ContentServer() as source:
        sha256 = assign([source.url])
        source.items[sha256] = package(zone.old.pem, zone.new.pem)
        turns(device)
    assert server.steps() == ["download", "update", "pending"]
    assert trusted(device) == {zone.old.sha256, zone.new.sha256}
    assert device.home.content_items() == []

    server.show(zone.new, zone.link)
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem],
                   update=zone.update(armed=True, activated=True))  # fmt: skip
    turns(device, 2)

    assert server.steps() == ["download", "update", "pending", "completed"]


def test_bridge_is_no_proof_that_the_new_ca_is_in_use(make_device, server, zone, assign):
    device, _ = make_device()
    with ContentServer() as source:
        content = package(zone.old.pem, zone.new.pem)
        source.items[assign([source.url], activate_at=NOW, armed=True)] = content
        server.show(zone.old, zone.bridge)
        turns(device)
        assert server.steps() == ["download", "update", "pending"]
        server.show(zone.new, zone.link)
        turns(device, 2)

    assert server.steps()[-1] == "completed"


def test_each_step_is_reported_at_once(make_device, zone, assign):
    device, _ = make_device()
    with ContentServer() as source:
        sha256 = assign([source.url])
        source.items[sha256] = package(zone.old.pem, zone.new.pem)

        assert turns(device, 4)[:3] == [0.0, 0.0, 0.0]


def test_next_source_is_asked_when_one_has_nothing(make_device, server, zone, assign):
    device, _ = make_device()
    with ContentServer() as empty, ContentServer() as full:
        sha256 = assign([f"http://127.0.0.1:{free_port()}", empty.url, full.url])
        full.items[sha256] = package(zone.old.pem, zone.new.pem)
        turns(device, 4)

    assert empty.asked == [f"/content/{sha256}"]
    assert server.steps() == ["download", "update", "pending"]


def test_update_without_a_source_fails_with_each_reason_and_can_be_redeployed(
    make_device, server, zone, assign
):
    device, _ = make_device()
    with ContentServer() as source:
        sha256 = assign([source.url, f"http://127.0.0.11:{free_port()}"])
        turns(device, 4)
        step = server.requests[-2]["steps"][0]
        assert step["state"] == "failed"
        assert step["reason"] == (
            "No content: 127.0.0.1 does not have it, 127.0.0.11 did not answer."
        )
        assert trusted(device) == {zone.old.sha256}

        source.items[sha256] = package(zone.old.pem, zone.new.pem)
        assign([source.url], attempt=2)
        turns(device, 4)

    assert server.steps() == ["download", "failed", "download", "update", "pending"]


def test_device_that_cannot_store_the_content_says_so_and_blames_no_server(
    make_device, server, zone, assign
):
    device, _ = make_device()
    folder = device.home.path / "content-repo"
    folder.write_bytes(b"no folder")
    with ContentServer() as source:
        source.items[assign([source.url])] = package(zone.old.pem, zone.new.pem)
        turns(device, 4)

    step = server.requests[-2]["steps"][0]
    assert (step["state"], step["reason"]) == (
        "failed",
        f"This device could not store the content: Not a directory ({folder}).",
    )


@pytest.mark.parametrize("content", ["other checksum", "no zip", "other CAs"])
def test_content_that_is_not_what_the_manifest_says_fails(
    make_device, server, zone, assign, content
):
    device, _ = make_device()
    data = package(zone.old.pem) if content == "other CAs" else b"no zip"
    with ContentServer() as source:
        sha256 = assign([source.url], content=data)
        source.items[sha256] = b"garbage" if content == "other checksum" else data
        turns(device, 3)

    assert server.steps() == ["download", "failed"]
    assert trusted(device) == {zone.old.sha256}


def test_report_is_sent_until_it_is_taken(make_device, server, zone, assign):
    device, _ = make_device()
    assign([])
    turns(device, 1)
    server.refusal = (503, {"error": "down"})
    turns(device, 1)
    device = Device(device.home, log=print, wake=lambda: None)  # a restart
    assert [step["state"] for step in device.state.steps] == ["download"]
    server.refusal = None

    turns(device, 3)

    assert server.steps() == ["download", "failed"]
    assert State.load(device.home).steps == []


def test_trust_file_is_not_touched_while_nothing_changes(make_device, server, zone):
    device, _ = make_device()
    before = (device.home.path / trust.FILE).stat()
    server.publish(epoch=2, anchors=[zone.old.pem])

    turns(device, 3)

    after = (device.home.path / trust.FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert device.state.epoch == 2


def test_cancel_takes_the_new_ca_away_again(make_device, server, zone, assign):
    device, _ = make_device()
    before = trust.current(device.home)
    with ContentServer() as source:
        source.items[assign([source.url])] = package(zone.old.pem, zone.new.pem)
        turns(device, 4)
    server.extra = {}
    server.publish(epoch=3, anchors=[zone.old.pem])

    turns(device, 2)

    assert trust.current(device.home) == before
    assert device.state.progress is None


def test_retirement_leaves_the_new_ca_alone_and_completes_a_late_device(
    make_device, server, zone, assign
):
    device, _ = make_device()
    with ContentServer() as source:
        source.items[assign([source.url])] = package(zone.old.pem, zone.new.pem)
        turns(device, 4)
    server.extra = {}
    server.show(zone.new)
    server.publish(epoch=3, anchors=[zone.new.pem])

    turns(device, 3)

    assert trusted(device) == {zone.new.sha256}
    assert server.steps()[-1] == "completed"


def test_cancel_takes_the_new_ca_away_although_an_earlier_update_is_told_of_still(
    make_device, server, zone, assign
):
    device, _ = make_device()
    with ContentServer() as source:
        source.items[assign([source.url])] = package(zone.old.pem, zone.new.pem)
        turns(device, 4)
    assert trusted(device) == {zone.old.sha256, zone.new.sha256}
    earlier = {"id": "earlier", "new_anchor": zone.old.sha256, "old_anchor": "0" * 64}
    server.extra = {}
    update = {**zone.update(activated=True, armed=True), **earlier}
    server.publish(epoch=3, anchors=[zone.old.pem], update=update)

    turns(device, 2)

    assert trusted(device) == {zone.old.sha256}
    assert device.state.progress is None
    assert server.requests[-1]["trust"] == [zone.old.sha256]  # told at once


def test_device_whose_update_is_baselined_meanwhile_has_the_zones_trust(
    make_device, server, zone, assign
):
    device, _ = make_device()
    assign([])
    turns(device, 1)  # it has said that the download begins
    assert server.steps() == [] and device.state.progress.state == "download"
    server.extra = {}
    server.publish(epoch=3, anchors=[zone.old.pem, zone.new.pem])

    turns(device, 3)

    assert trusted(device) == {zone.old.sha256, zone.new.sha256}
    assert server.steps() == ["download", "completed"]


def test_device_that_slept_through_everything_comes_back_by_the_link(
    make_device, server, zone, assign
):
    device, _ = make_device()
    server.show(zone.new, zone.link)
    with ContentServer() as source:
        content = package(zone.old.pem, zone.new.pem)
        source.items[assign([source.url], activate_at=NOW, armed=True, activated=True)] = content
        turns(device)

    assert trusted(device) == {zone.old.sha256, zone.new.sha256}
    assert server.steps() == ["download", "update", "pending", "completed"]


def test_new_trust_that_reaches_no_server_is_not_kept(make_device, server, zone):
    device, _ = make_device()
    before = trust.current(device.home)
    server.publish(epoch=2, anchors=[zone.new.pem])

    turns(device, 1)

    assert trust.current(device.home) == before


def test_busy_server_is_left_alone_for_as_long_as_it_says(make_device, server):
    device, _ = make_device()
    server.refusal = (429, {"error": "Busy."}, {"Retry-After": "30"})

    with pytest.raises(Refused):
        device.refresh(loop.now)
    assert 30 <= turns(device, 1)[0] <= 33


def test_clock_of_the_server_counts(make_device, server):
    device, _ = make_device()
    device.refresh(lambda: loop.now() - timedelta(hours=1))

    assert abs(device.state.offset - 3600) < 2
    assert device.server_time(NOW) - NOW > timedelta(minutes=59)


@pytest.mark.parametrize("place", ["file.written", "file.renamed"])
def test_device_killed_while_it_updates_has_the_old_or_the_new_trust(
    make_device, server, zone, assign, place
):
    device, _ = make_device()
    old, both = {zone.old.sha256}, {zone.old.sha256, zone.new.sha256}
    seen = []
    with ContentServer() as source:
        source.items[assign([source.url])] = package(zone.old.pem, zone.new.pem)
        while refresh_killed(device.home, f"{place}:kill:{len(seen) % 3 + 1}"):
            seen.append(trusted(device))
            assert seen[-1] in (old, both)

    assert len(seen) > 3
    assert trusted(device) == both
    assert list(dict.fromkeys(server.steps())) == ["download", "update", "pending"]


def refresh_killed(home, fault):
    """Run `agent refresh` with a fault; return whether that killed it."""
    command = [sys.executable, "-m", "agent", "refresh", "--home", home.path]
    done = subprocess.run(command, env={**os.environ, "ZCC_FAULTS": fault}, timeout=30)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0
