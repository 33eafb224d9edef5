"""A small real server of a zone: the device API over TLS, and content over HTTP."""

import json
import ssl
import threading
from base64 import b64encode
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric import ec

from agent import pem
from agent.hot_context import HotContext
from tests.agent.zone import key_to_der


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(*self.server.zone_server.get(self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(*self.server.zone_server.post(self.path, body, self.headers))

    def answer(self, status, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that does not trust us hangs up


class Running:
    """A server in a thread, while its context lasts."""

    def __init__(self, address="127.0.0.1", port=0):
        self.http = Server((address, port), Handler)
        self.http.zone_server = self
        self.port = self.http.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self.http.shutdown()
        self.http.server_close()


class ContentServer(Running):
    """Serves `items` by checksum. `status` other than 200 is what it answers to everything."""

    def __init__(self, **items):
        super().__init__()
        self.items, self.asked, self.status = items, [], 200
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path):
        self.asked.append(path)
        data = self.items.get(path.rpartition("/")[2])
        if self.status != 200:
            return self.status, b""
        return (404, b"") if data is None else (200, data)


class ZoneServer(Running):
    """What the device API answers, changed by the tests; `requests` holds what was asked."""

    def __init__(self, zone, pem_path, address="127.0.0.1"):
        super().__init__(address)
        self.zone, self.pem_path, self.address = zone, pem_path, address
        self.url = f"https://{address}:{self.port}"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.show(zone.old)
        self.hot = HotContext(pem_path, log=print)
        self.http.socket = self.hot.context.wrap_socket(
            self.http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.manifest, self.extra, self.refusal = zone.envelope(), {}, None
        self.anchors = [zone.old.pem]
        self.requests, self.interval = [], 10
        self.rung = threading.Event()  # somebody pressed `Refresh Device`

    def show(self, ca, *links):
        """Show a certificate of `ca`, followed by `links`."""
        leaf = ca.issue(self.key, self.address)
        temporary = self.pem_path.with_suffix(".new")
        temporary.write_bytes(leaf + b"".join(links) + pem.key(key_to_der(self.key)))
        temporary.replace(self.pem_path)

    def get(self, path):
        if path == "/device/anchors":
            anchors = [anchor.decode() for anchor in self.anchors]
            return 200, {"zone": self.zone.guid, "name": "DEMO-ZONE", "anchors": anchors}
        return (204, {}) if path == "/device/ping" else (404, {"error": "No such page."})

    def post(self, path, body, headers):
        body = json.loads(body)
        if self.refusal:
            return self.refusal
        if path == "/device/enrol":
            return self.enrol(body)
        if path == "/device/wait":
            return 200, {"refresh": self.rung.wait(0.2)}
        self.requests.append(body)
        self.rung.clear()
        return 200, {**self.common(), "update": None, **self.extra}

    def enrol(self, body):
        if body["key"] != "KEY":
            return 403, {"error": "This registration key is not valid."}
        key = b64encode(self.zone.public_key).decode()
        identity = {"device": "dev-1", "token": "TOKEN", "update_key": key, "zone": self.zone.guid}
        return 200, {**self.common(), **identity}

    def common(self):
        return {
            "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "next_refresh": self.interval,
            "servers": [self.url],
            "manifest": self.manifest.decode(),
        }

    def publish(self, **changes):
        """Publish a trust manifest."""
        self.manifest = self.zone.envelope(**changes)

    def steps(self):
        """The states of the update that devices reported, in order, each once."""
        steps = [step for request in self.requests for step in request["steps"]]
        return [step["state"] for step in steps]


def fingerprint_shown(address, port):
    """The SHA-256 of the leaf that is shown there now."""
    pem_text = ssl.get_server_certificate((address, port))
    return pem.fingerprint(pem_text.encode())
