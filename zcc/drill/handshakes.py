"""
Real TLS handshakes, each from the trust of one device.

Reads from its input, as JSON, a list of [device, PEM of the CAs, [[address, port], ...]]; writes a
list of [device, address, port, what was refused or nothing, SHA-256 of the leaf]. It is run as a
file, under the conditions of those devices. The standard library is all it needs.
"""

import hashlib
import json
import socket
import ssl
import sys
from typing import Any

SECONDS = 10.0
PARTIAL_CHAIN = 0x80000  # Python 3.13 sets it: a link in a trust file would become an anchor


def shake(anchors: str, address: str, port: int) -> tuple[str, str]:
    """Return what was refused, nothing if nothing was, and the SHA-256 of the leaf."""
    context = ssl.create_default_context(cadata=anchors)
    context.verify_flags = ssl.VerifyFlags(context.verify_flags & ~PARTIAL_CHAIN)
    try:
        plain = socket.create_connection((address, port), SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=address) as tls:
            leaf = tls.getpeercert(binary_form=True) or b""
            return "", hashlib.sha256(leaf).hexdigest()
    except OSError as error:
        return getattr(error, "verify_message", "") or str(error), ""


def main() -> None:
    """Make all handshakes that the input asks for."""
    made: list[list[Any]] = []
    for device, anchors, places in json.load(sys.stdin):
        for address, port in places:
            made.append([device, address, port, *shake(anchors, address, port)])
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
