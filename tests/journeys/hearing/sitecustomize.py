"""
Writes down every HTTP answer that a process of a journey gets, as it comes out of the connection.

Python loads it by itself in each process whose PYTHONPATH has this folder: agents, mobiles, and the
servers when they fetch content. HEARD names the folder of the records, one file an answer.

It also mends `sleep` for a process that lives at another time (`clocks`).
"""

import functools
import http.client
import io
import os
import select
import time
import uuid
from pathlib import Path

FOLDER = Path(os.environ["HEARD"])
put_request = http.client.HTTPConnection.putrequest


class Overheard(io.RawIOBase):
    """What is read of a connection, and a file of the same."""

    def __init__(self, stream, asked):
        self._stream = stream
        self._record = (FOLDER / uuid.uuid4().hex).open("xb", buffering=0)
        self._record.write(f"{asked}\n".encode())

    def readable(self):
        return True

    def readinto(self, buffer):
        number = self._stream.readinto(buffer)
        self._record.write(memoryview(buffer)[: number or 0])
        return number

    def close(self):
        self._stream.close()
        self._record.close()
        super().close()


class Response(http.client.HTTPResponse):
    def __init__(self, sock, *args, asked, **options):
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(Overheard(sock.makefile("rb", buffering=0), asked))


def putrequest(self, method, url, *args, **options):
    self.response_class = functools.partial(Response, asked=f"{self.port} {method} {url}")
    put_request(self, method, url, *args, **options)


http.client.HTTPConnection.putrequest = putrequest


def sleep(seconds):
    select.select([], [], [], seconds)


if "FAKETIME" in os.environ:
    time.sleep = sleep  # Python's own fails where faketime leaves the monotonic clock alone
