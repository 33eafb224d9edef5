"""
What devices call on port 7444: enrol, refresh, ping. JSON over HTTPS, a token for each device; a
mobile device has its identity certificate instead. Below /.well-known/est/ it is EST: see `est`.

It composes: each app records its part of what a device reports, and gives its part of the answer.
An ASGI application of its own and not Django's, because it serves nothing else and many wait.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from django.db import Error, close_old_connections, connection

import certificates.api
import systemupdates.api
from certificates import identities, taking_part, trust
from certificates.actions import rehearsals
from certificates.models import MobileIdentity
from devices import actions as devices
from devices import contacts
from devices.models import Device, Zone
from zcc import est, nothing_new, parked
from zcc.ground import clock, here
from zcc.ground.wire import CLIENT_CERTIFICATE, instant, text
from zcc.last_contacts import LastContacts

logger = logging.getLogger(__name__)

MAX_BODY = 256 * 1024
# Database work happens in this many threads; the rest of the connections cost a coroutine each.
THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="device-api")

# A request for an identity is looked at so often before it is answered 202, once in so many
# seconds: not every EST client comes again.
EST_LOOKS, EST_EVERY = 12, 0.5

Scope = dict[str, Any]
Handler = Callable[[Scope, bytes], tuple[int, dict[str, Any] | None]]
Answer = TypeVar("Answer")


class Refused(Exception):
    """The call is refused with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def app(scope: Scope, receive: Any, send: Any) -> None:
    """Answer one HTTP request, or stay for as long as the server runs."""
    if scope["type"] == "lifespan":
        await LAST_CONTACTS.live(receive, send)
        return
    if f"{scope['path']}/".startswith(est.PREFIX):  # also what a browser opens of a link
        await _est(scope, receive, send)
        return
    handler = ROUTES.get((scope["method"], scope["path"]))
    if handler is None:
        await _answer(send, 404, {"error": "There is no such call."})
    elif handler is ping:
        await _answer(send, *ping(scope, b""))
    else:
        await _handle(handler, scope, receive, send)


async def _handle(handler: Handler, scope: Scope, receive: Any, send: Any) -> None:
    """Answer a call that may need a thread."""
    try:
        body = await _read(receive)
        if handler is refresh and (nothing := await QUIET.ask(scope, body)):
            await _send(send, 200, nothing)
            return
        loop = asyncio.get_running_loop()
        status, answer = await loop.run_in_executor(THREADS, _call, handler, scope, body)
        if handler is wait and answer is not None:
            answer = {"refresh": await _rung(answer["device"], receive)}
    except Refused as error:
        status, answer = error.status, {"error": str(error)}
    await _answer(send, status, answer)


async def _est(scope: Scope, receive: Any, send: Any) -> None:
    """Answer a call of EST; one whose identity is being issued waits for that a while."""
    try:
        body = await _read(receive)
        loop = asyncio.get_running_loop()
        for look in range(EST_LOOKS):
            if look:
                await asyncio.sleep(EST_EVERY)
            answer = await loop.run_in_executor(THREADS, _call, _est_call, scope, body)
            if not answer.is_pending:
                break
    except Refused as error:
        answer = est.Response(error.status, f"{error}\n".encode())
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _est_call(scope: Scope, body: bytes) -> est.Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    certificate = _certificate(scope)
    return est.answer(est.Call(scope["method"], scope["path"], headers, body, certificate))


def _certificate(scope: Scope) -> bytes | None:
    """Return the certificate that the client showed and TLS has verified (see zcc.processes)."""
    found: bytes | None = scope.get("state", {}).get(CLIENT_CERTIFICATE)
    return found


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
    await _send(send, status, b"" if answer is None else json.dumps(answer).encode())


async def _send(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _call(handler: Callable[[Scope, bytes], Answer], scope: Scope, body: bytes) -> Answer:
    """Run a handler in a thread with a database connection that works."""
    close_old_connections()
    try:
        return handler(scope, body)
    except Refused:
        raise
    except devices.NotEnrolled as error:
        raise Refused(403, str(error)) from error
    except identities.NotAccepted as error:
        raise Refused(403, str(error)) from error
    except Exception as error:
        logger.exception("A device's call failed: %s", scope["path"])
        connection.close()
        sentence = "The server could not answer. Nothing has changed; try again."
        raise Refused(503, sentence) from error
    finally:
        close_old_connections()


def ping(scope: Scope, body: bytes) -> tuple[int, None]:
    """The probe: whoever gets here has verified this server's certificate. It needs no thread."""
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
    taking_part.enrolled(device, now=now)
    return 200, _welcome(device, token, now=now)


def welcome(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """What a mobile that has its identity needs to know besides, as at any enrolment."""
    caller, now = _caller(scope), clock.now()
    if caller.identity is None:
        raise Refused(403, "This is for mobile devices: call with an identity certificate.")
    return 200, _welcome(caller.device, "", now=now)


def _welcome(device: Device, token: str, *, now: datetime) -> dict[str, Any]:
    published = trust.published(device.zone)
    update_key = here.home().read_file(here.UPDATE_KEY) or b""
    return {
        "device": str(device.guid),
        "token": token,
        "update_key": base64.b64encode(update_key).decode(),
        "zone": str(device.zone.guid),
        "manifest": published.envelope if published else None,
        "servers": nothing_new.servers(device.zone_id),
        "next_refresh": 0,
        "time": trust.instant(now),
    }


def refresh(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """Note what a device has and is, and tell it what to do."""
    (device, identity), fields, now = _caller(scope), _fields(body), clock.now()
    if identity is not None:
        fields = identities.believable(fields, identity, now=now)
    if sent_at := instant(fields, "clock"):
        fields["clock"] = sent_at
    contacts.record_contact(device, fields, now=now)
    systemupdates.api.record(device, fields, now=now)
    certificates.api.record(device, fields, now=now)
    answer = nothing_new.answer(
        interval=device.effective_refresh_interval(),
        servers=nothing_new.servers(device.zone_id),
        now=clock.now(),
    )
    answer |= {
        "roles": device.given_roles,
        "manifest": certificates.api.manifest_for(device),
        "update": systemupdates.api.update_for(device),
        "prove": certificates.api.prove_for(device),
    }
    if told := rehearsals.tell(device, fields, now=now):
        answer["rehearsal"] = told
    if identity is not None:
        answer["identity"] = identities.told(identity, now=now)
    if device.is_content_satellite:
        answer["content"] = systemupdates.api.content_for(device, now=now)
    if device.is_authentication_satellite:
        answer["certificates"] = certificates.api.certificates_for(device)
    return 200, answer


def wait(scope: Scope, body: bytes) -> tuple[int, dict[str, Any]]:
    """The device waits to be asked to refresh; the call is parked until then."""
    return 200, {"device": _caller(scope).device.pk}


def _asked_to_refresh() -> set[int]:
    """The devices that are to refresh; in a thread, with a database connection that works."""
    close_old_connections()
    try:
        return set(Device.objects.asked_to_refresh().values_list("pk", flat=True))
    except Error as error:
        logger.warning("Nobody can be rung for at the moment: %s", error)
        return set()
    finally:
        close_old_connections()


PARKED = parked.Parked(_asked_to_refresh, THREADS)
LAST_CONTACTS = LastContacts(contacts.write)
QUIET = nothing_new.Quiet(LAST_CONTACTS)


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


class Caller(NamedTuple):
    """Who calls: an agent with its token, or a mobile with its identity."""

    device: Device
    identity: MobileIdentity | None


def _caller(scope: Scope) -> Caller:
    """Return whose token or identity came with the request, or refuse."""
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    certificate = _certificate(scope)
    if certificate is not None and not token:
        identity = identities.of_call(certificate, now=clock.now())
        return Caller(identity.device, identity)
    if scheme != "Bearer" or not token:
        raise Refused(401, "A device calls with its token.")
    found = Device.objects.filter(token_hash=devices.hash_secret(token))
    device = found.select_related("zone").first()
    if device is None:
        raise Refused(401, "This token is unknown. Enrol the device again.")
    if device.is_retired:
        raise Refused(403, "This device is retired. An administrator can bring it back.")
    return Caller(device, None)


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "/device/ping"): ping,
    ("GET", "/device/anchors"): anchors,
    ("GET", "/device/welcome"): welcome,
    ("POST", "/device/enrol"): enrol,
    ("POST", "/device/refresh"): refresh,
    ("POST", "/device/wait"): wait,
}
