"""
Files that count once they are with whoever asked: a download that breaks off counts for nothing.

That the last byte was written says little, because the system's buffers take a small file whole. So
what is asked is whether the other machine has acknowledged every byte. (Behind a proxy that is the
proxy.)
"""

import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator

from django.http import HttpRequest, StreamingHttpResponse

WITHIN = 10.0  # seconds for the last bytes to be acknowledged
_PIECE = 16 * 1024  # bytes: a TLS record
_PAUSE = 10  # milliseconds


def file(
    request: HttpRequest, data: bytes, *, name: str, content_type: str, arrived: Callable[[], None]
) -> StreamingHttpResponse:
    """Answer with a file that no cache keeps; call `arrived` once all of it has arrived."""
    connection = request.META.get("gunicorn.socket")
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(len(data)),
        "Cache-Control": "no-store",
    }
    pieces = in_pieces(data, connection, arrived)
    return StreamingHttpResponse(pieces, content_type=content_type, headers=headers)


def in_pieces(
    data: bytes, connection: socket.socket | None, arrived: Callable[[], None]
) -> Iterator[bytes]:
    """
    Yield the data piece by piece; at the end call `arrived`, unless the connection is broken.

    A server that cannot write a piece does not come back for the next, so the end is not reached.
    """
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]
    if connection is None or _has_arrived(connection):
        arrived()


def _has_arrived(connection: socket.socket) -> bool:
    """Wait until everything is acknowledged (True), or the connection breaks."""
    poll = select.poll()
    poll.register(connection, 0)  # errors alone
    give_up = time.monotonic() + WITHIN
    while time.monotonic() < give_up:
        if poll.poll(_PAUSE):
            return False
        if not _unacknowledged(connection):
            return True
    return False


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes still wait in the system's buffer (tcp(7), SIOCOUTQ)."""
    waiting = fcntl.ioctl(connection, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", waiting)[0])
