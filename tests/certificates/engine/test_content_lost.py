"""A content server's copy is damaged or removed after it was counted."""

import pytest

from systemupdates import tasks
from systemupdates.actions import servers_without_content
from zcc.ground import here


def damaged(path):
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def truncated(path):
    path.write_bytes(path.read_bytes()[:100])


def removed(path):
    path.unlink()


@pytest.mark.parametrize("harm", [damaged, truncated, removed])
def test_copy_that_is_lost_is_not_counted_and_is_fetched_again(living, homes, monkeypatch, harm):
    operation = living.reach("assigned")
    sha256 = operation.update.content_sha256
    harm(homes["ps2"].path / "content-repo" / sha256)
    monkeypatch.setenv(here.VARIABLE, "ps2")

    tasks.look_after_content()

    row = operation.update.replications.get(server__name="ps2")
    assert (row.state, row.received) == ("failed", 0)
    assert row.last_error == "Its copy was damaged or removed. It is fetched again."
    assert [server.name for server in servers_without_content(operation.update)] == ["ps2"]
    assert not homes["ps2"].has_content(sha256)
    living.replicate_now()
    living.run()
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("available", "")
    assert homes["ps2"].check_content(sha256)


def test_copies_that_are_right_stay_as_they_are(living, monkeypatch):
    rows = living.reach("assigned").update.replications.order_by("pk")
    before = list(rows.values())
    monkeypatch.setenv(here.VARIABLE, "ps2")

    tasks.look_after_content()

    assert list(rows.values()) == before
