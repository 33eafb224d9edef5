import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from agent import manifest
from agent.manifest import ManifestError, format_time, parse_time
from tests.agent.zone import NOW


def test_manifest_is_read(zone):
    envelope = zone.envelope(
        epoch=3, anchors=[zone.old.pem, zone.new.pem], update=zone.update(armed=True)
    )

    read = manifest.read(envelope, zone.public_key)

    assert (read.zone, read.epoch) == (zone.guid, 3)
    assert read.fingerprints() == sorted([zone.old.sha256, zone.new.sha256])
    assert (read.update.operation, read.update.armed) == (zone.operation, True)
    assert read.update.activate_at == NOW + timedelta(hours=1)


def test_manifest_cut_off_anywhere_is_refused(zone):
    envelope = zone.envelope()

    for length in range(0, len(envelope), 37):
        with pytest.raises(ManifestError):
            manifest.read(envelope[:length], zone.public_key)


def test_changed_payload_is_refused(zone):
    outer = json.loads(zone.envelope(epoch=1))
    payload = base64.b64decode(outer["payload"]).replace(b'"epoch": 1', b'"epoch": 2')
    outer["payload"] = base64.b64encode(payload).decode()

    with pytest.raises(ManifestError, match="not signed"):
        manifest.read(json.dumps(outer).encode(), zone.public_key)


def test_another_key_is_refused(zone):
    with pytest.raises(ManifestError, match="not signed"):
        manifest.read(zone.envelope(), b"\x01" * 32)


def test_too_large_a_manifest_is_refused_unread(zone):
    with pytest.raises(ManifestError, match="larger"):
        manifest.read(b" " * (manifest.MAX_BYTES + 1), zone.public_key)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_name_that_comes_twice_is_refused(zone, where):
    payload = b'{"version": 1, "version": 1}'
    envelope = zone.seal(payload if where == "inside" else b"{}")
    if where == "outside":
        envelope = envelope.replace(b'{"payload"', b'{"payload": "", "payload"')

    with pytest.raises(ManifestError, match="not JSON"):
        manifest.read(envelope, zone.public_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"epoch": "1"},
        {"epoch": True},
        {"zone": None},
        {"anchors": [b"nothing"]},
        {"expires_at": "tomorrow"},
        {"issued_at": None},
        {"update": {}},
        {"update": []},
    ],
)
def test_signed_nonsense_is_refused(zone, changes):
    with pytest.raises(ManifestError, match="not a manifest"):
        manifest.read(zone.envelope(**changes), zone.public_key)


@pytest.mark.parametrize("envelope", [b"[" * 100_000, b"[]", b"\xff", b"1", b'{"payload": 1}'])
def test_what_is_no_envelope_is_refused(zone, envelope):
    with pytest.raises(ManifestError):
        manifest.read(envelope, zone.public_key)


@pytest.mark.parametrize(
    ("zone_guid", "epoch", "days", "reason"),
    [
        ("another", 1, 0, "another zone"),
        (None, 3, 0, "older"),
        (None, 2, 8, "expired"),
        (None, 2, 7, "expired"),
    ],
)
def test_manifest_that_may_not_be_followed(zone, zone_guid, epoch, days, reason):
    read = manifest.read(zone.envelope(epoch=2), zone.public_key)

    with pytest.raises(ManifestError, match=reason):
        manifest.check(
            read, zone=zone_guid or zone.guid, epoch=epoch, now=NOW + timedelta(days=days)
        )


def test_manifest_of_our_epoch_may_be_followed(zone):
    read = manifest.read(zone.envelope(epoch=2), zone.public_key)

    manifest.check(read, zone=zone.guid, epoch=2, now=NOW + timedelta(days=6))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T02:00:00Z", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        ("2026-11-24T02:00:00.25Z", datetime(2026, 11, 24, 2, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-24T02:00:00+00:00", datetime(2026, 11, 24, 2, tzinfo=UTC)),
    ],
)
def test_times_are_read(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T02:00:00", "2026-11-24", "2026-13-24T02:00:00Z", "now", "٢026-11-24T02:00:00Z"],
)
def test_other_times_are_refused(text):
    with pytest.raises(ValueError):
        parse_time(text)


def test_time_is_written_in_utc_to_the_second():
    assert (
        format_time(datetime(2026, 11, 24, 2, 0, 0, 999_999, tzinfo=UTC)) == "2026-11-24T02:00:00Z"
    )
