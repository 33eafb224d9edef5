"""
What devices call on port 7444: enrol, refresh, ping. JSON over HTTPS, a token for each device.

It composes: each app records its part of what a device reports, and gives its part of the answer.
An ASGI application of its own and not Django's, because it serves nothing else and many wait.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import DatabaseError, close_old_connections, connection

import certificates.api
import systemupdates.api
from certificates import trust
from certificates.actions import rehearsals
from devices import actions as devices
from devices.models import Device, Zone
from zcc import parked
from zcc.ground import clock, here
from zcc.ground.ports import device_url
from zcc.ground.wire import instant, text

logger = logging.getLogger(__name__)

MAX_BODY = 256 * 1024
# Database work happens in this many threads; the rest of the connections cost a coroutine each.
THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="device-api")

Scope = dict[str, Any]
Handler = Callable[[Scope, bytes], tuple[int, dict[str, Any] | None]]


class Refused(Exception):
    """The call is refused with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def app(scope: Scope, receive: Any, send: Any) -> None:
    """Answer one HTTP request."""
    if scope["type"] != "http":
        return
    handler = ROUTES.get((scope["method"], scope["path"]))
    if handler is None:
        await _answer(send, 404, {"error": "There is no such call."})
        return
    try:
        body = await _read(receive)
        loop = asyncio.get_running_loop()
        status, answer = await loop.run_in_executor(THREADS, _call, handler, scope, body)
        if handler is wait and answer is not None:
            answer = {"refresh": await _rung(answer["device"], receive)}
    except Refused as error:
        status, answer = error.status, {"error": str(error)}
    await _answer(send, status, answer)


async def _rung(device: int, receive: Any) -> bool:
    """Park the call until the device is to refresh; return whether it is."""
    gone = asyncio.Event()

    async def notice() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    noticing = asyncio.create_task(notice())
    try:
        return await PARKED.wait(device, gone=gone)
    except parked.TooMany as error:
        raise Refused(
            503, "This server holds enough waiting devices. Refresh by schedule."
        ) from error
    finally:
        noticing.cancel()


async def _read(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request was broken off.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise Refused(413, f"A request has at most {MAX_BODY} bytes.")
    return body


async def _answer(send: Any, status: int, answer: dict[str, Any] | None) -> None:
    body = b"" if answer is None else json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _call(handler: Handler, scope: Scope, body: bytes) -> tuple[int, dict[str, Any] | None]:
    """Run a handler in a thread with a database connection that works."""
    close_old_connections()
    try:
        return handler(scope, body)
    except Refused:
        raise
    except devices.NotEnrolled as error:
        raise Refused(403, str(error)) from error
    except Exception:
        logger.exception("A device's call failed: %s", scope["path"])
        connection.close()
        return 503, {"error": "The server could not answer. Nothing has changed; try again."}
    finally:
        close_old_connections()


def ping(scope: Scope, body: bytes) -> tuple[int, None]:
    """The probe: whoever gets here has verified this server's certificate."""
    return 204, None


def anchors(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """The zone's CAs, for a device that knows nothing but a fingerprint."""
    zone = _zone()
    return 200, {
        "zone": str(zone.guid),
        "name": zone.name,
        "anchors": trust.wanted(zone)["anchors"],
    }


def enrol(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """Add a device that knows a registration key."""
    fields, now = _fields(body), clock.now()
    enrolment = devices.check_enrolment(fields)
    device, token = devices.enrol(text(fields, "key"), enrolment, now=now)
    certificates.api.join_operation(device, now=now)
    published = trust.published(device.zone)
    update_key = here.home().read_file(here.UPDATE_KEY) or b""
    return 200, {
        "device": str(device.guid),
        "token": token,
        "update_key": base64.b64encode(update_key).decode(),
        "zone": str(device.zone.guid),
        "manifest": published.envelope if published else None,
        "servers": servers(device.zone),
        "next_refresh": 0,
        "time": trust.instant(now),
    }


def refresh(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """Note what a device has and is, and tell it what to do."""
    device, fields, now = _caller(scope), _fields(body), clock.now()
    if sent_at := instant(fields, "clock"):
        fields["clock"] = sent_at
    devices.record_contact(device, fields, now=now)
    systemupdates.api.record(device, fields, now=now)
    certificates.api.record(device, fields, now=now)
    answer = {
        "time": trust.instant(clock.now()),
        "next_refresh": device.effective_refresh_interval().total_seconds(),
        "servers": servers(device.zone),
        "roles": device.given_roles,
        "manifest": certificates.api.manifest_for(device),
        "update": systemupdates.api.update_for(device),
        "prove": certificates.api.prove_for(device),
    }
    if told := rehearsals.tell(device, fields, now=now):
        answer["rehearsal"] = told
    if device.is_content_satellite:
        answer["content"] = systemupdates.api.content_for(device, now=now)
    if device.is_authentication_satellite:
        answer["certificates"] = certificates.api.certificates_for(device)
    return 200, answer


def wait(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """The device waits to be asked to refresh; the call is parked until then."""
    return 200, {"device": _caller(scope).pk}


def _asked_to_refresh() -> set[int]:
    """The devices that are to refresh; in a thread, with a database connection that works."""
    close_old_connections()
    try:
        return set(Device.objects.asked_to_refresh().values_list("pk", flat=True))
    except DatabaseError as error:
        logger.warning("Nobody can be rung for at the moment: %s", error)
        return set()
    finally:
        close_old_connections()


PARKED = parked.Parked(_asked_to_refresh, THREADS)


def servers(zone: Zone) -> list[str]:
    """The addresses of the device API, this server's first."""
    me = here.identity().address
    primaries = Device.objects.filter(zone=zone).active().primary_servers().order_by("name")
    addresses = sorted((server.address for server in primaries), key=lambda found: found != me)
    return [device_url(address) for address in addresses]


def _zone() -> Zone:
    zone = Zone.objects.first()
    if zone is None:
        raise Refused(503, "This server is not set up yet.")
    return zone


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The request is not JSON.") from error
    if not isinstance(fields, dict):
        raise Refused(400, "The request is not a JSON object.")
    return fields


def _caller(scope: Scope) -> Device:
    """Return the device whose token came with the request, or refuse."""
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme != "Bearer" or not token:
        raise Refused(401, "A device calls with its token.")
    found = Device.objects.filter(token_hash=devices.hash_secret(token))
    device = found.select_related("zone").first()
    if device is None:
        raise Refused(401, "This token is unknown. Enrol the device again.")
    if device.is_retired:
        raise Refused(403, "This device is retired. An administrator can bring it back.")
    return device


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/device/ping"): ping,
    ("GET", "/device/anchors"): anchors,
    ("POST", "/device/enrol"): enrol,
    ("POST", "/device/refresh"): refresh,
    ("POST", "/device/wait"): wait,
}
