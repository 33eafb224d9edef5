"""What the servers of a running zone answered its devices, as it came over the wire."""

import re
from dataclasses import dataclass
from pathlib import Path

HEARING = Path(__file__).parent / "hearing"
# Every kind of call that a server answers devices, beside the two ports that only browsers open.
KINDS = {
    "7444 GET /device/anchors",
    "7444 POST /device/enrol",
    "7444 POST /device/refresh",
    "7444 POST /device/wait",
    "7444 GET /device/welcome",
    "7444 GET /.well-known/est/cacerts",
    "7444 POST /.well-known/est/simpleenroll",
    "7444 POST /.well-known/est/simplereenroll",
    "7445 GET /device/ping",
    "7446 GET /trust-manifest",
    "7481 GET /content/*",
}
OPEN = """
import ssl, sys, urllib.request
for url in sys.argv[1:]:
    urllib.request.urlopen(url, context=ssl._create_unverified_context()).read()
"""


@dataclass(frozen=True)
class Answer:
    """`asked` is like "7444 POST /device/refresh", without the checksum of a content item."""

    asked: str
    data: bytes

    @property
    def head(self):
        return self.data.partition(b"\r\n\r\n")[0].lower()


def folder(zone):
    return zone.home / "answers"


def environment(zone):
    """Return what a process of the zone needs in its environment to write down what it hears."""
    folder(zone).mkdir(mode=0o700)
    return {"PYTHONPATH": HEARING, "HEARD": folder(zone)}


def heard(zone):
    """Return every answer so far: status line, headers, and body as it was sent."""
    found = []
    for path in folder(zone).iterdir():
        asked, _, data = path.read_bytes().partition(b"\n")
        found.append(Answer(re.sub(r"[0-9a-f]{64}", "*", asked.decode()), data))
    return found


def open_all(zone, *urls):
    """Get these, as a browser would that trusts anybody; their answers are heard, too."""
    zone.python("-c", OPEN, *urls)
