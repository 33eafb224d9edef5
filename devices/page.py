"""The page of a device: its frame, the same on every tab, and which of it keeps itself current."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest

from devices.models import Device
from devices.standing import standing
from zcc.ground import live
from zcc.ground.live import Part

# An agent that runs answers within seconds; who has not by then may be off for days.
ANSWERED_SOON = timedelta(minutes=1)
NOTHING: Mapping[str, Any] = {}
TABS = ("summary", "settings", "updates", "certificates", "history")


def frame(request: HttpRequest, device: Device, *, tab: str, now: datetime) -> dict[str, Any]:
    """Return the context of `devices/device.html`."""
    return {
        **_shown(device, now=now),
        "section": "devices",
        "tab": tab,
        "head": live.render(request, head(device, tab=tab, now=now)),
    }


def head(device: Device, *, tab: str, now: datetime) -> Part:
    """Return the part above the tab's own content: name, standing, quick tasks and tabs."""
    return Part(
        id="device-head",
        url=live.address("devices:head", {"tab": tab}, device.pk),
        template="devices/_head.html",
        context={**_shown(device, now=now), "tab": tab},
        seconds=how_often(device, now=now),
    )


def content(
    device: Device,
    *,
    view: str,
    template: str,
    now: datetime,
    more: Mapping[str, Any] = NOTHING,
    query: Mapping[str, str] = NOTHING,
) -> Part:
    """
    Return the content of the tab that `view` shows; the template is given `more`, too.

    `query` says which page of it is shown.
    """
    return Part(
        id="device-tab",
        url=live.address(view, query, device.pk),
        template=template,
        context={**_shown(device, now=now), **more},
        seconds=how_often(device, now=now),
    )


def how_often(device: Device, *, now: datetime) -> int:
    """Whoever has just pressed `Refresh Device` is waiting for the answer."""
    asked_at = device.refresh_asked_at
    return live.QUICK if asked_at and now - asked_at < ANSWERED_SOON else live.STEADY


def _shown(device: Device, *, now: datetime) -> dict[str, Any]:
    return {"device": device, "standing": standing(device, now=now), "now": now}
