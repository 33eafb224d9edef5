import time

from agent import loop
from agent.client import hashlib
from tests.agent.server import ContentServer


def replicated(device, times=100):
    for _ in range(times):
        if not device.replica.is_busy():
            return
        time.sleep(0.02)


def test_content_satellite_holds_exactly_what_it_is_told(make_device, server):
    device, _ = make_device(roles=["content"])
    items = {hashlib.sha256(data).hexdigest(): data for data in (b"one", b"two")}
    one, two = items
    with ContentServer(**items) as source:
        listed = [{"sha256": one, "size": 3, "sources": [source.url]}]
        server.extra = {"content": listed}
        device.refresh(loop.now)
        replicated(device)
        assert device.home.content_items() == [one]
        assert device.has_news()

        server.extra = {"content": [{"sha256": two, "size": 3, "sources": [source.url]}]}
        device.refresh(loop.now)
        replicated(device)

    assert device.home.content_items() == [two]
    assert server.requests[1]["content"] == [
        {"sha256": one, "state": "available", "size": 3, "error": ""}
    ]


def test_content_that_cannot_be_had_is_failed_with_its_reason_and_tried_again(make_device, server):
    device, _ = make_device(roles=["content"])
    sha256 = hashlib.sha256(b"one").hexdigest()
    with ContentServer() as source:
        server.extra = {"content": [{"sha256": sha256, "size": 3, "sources": [source.url]}]}
        device.refresh(loop.now)
        replicated(device)
        (report,) = device.replica.report()
        assert (report["state"], report["error"]) == (
            "failed",
            "No content: 127.0.0.1 does not have it.",
        )

        source.items[sha256] = b"one"
        device.refresh(loop.now)
        replicated(device)

    assert device.replica.report()[0]["state"] == "available"


def test_copy_that_was_damaged_is_fetched_again(make_device, server):
    device, _ = make_device(roles=["content"])
    sha256 = hashlib.sha256(b"one").hexdigest()
    with ContentServer(**{sha256: b"one"}) as source:
        server.extra = {"content": [{"sha256": sha256, "size": 3, "sources": [source.url]}]}
        device.refresh(loop.now)
        replicated(device)
        (device.home.path / "content-repo" / sha256).write_bytes(b"onn")

        device.refresh(loop.now)
        replicated(device)

    assert device.home.open_content(sha256).read() == b"one"


def test_list_that_is_missing_leaves_the_content_as_it_is(make_device, server):
    device, _ = make_device(roles=["content"])
    device.home.make()
    (device.home.path / "content-repo" / ("0" * 64)).write_bytes(b"x")

    device.refresh(loop.now)

    assert device.home.content_items() == ["0" * 64]
