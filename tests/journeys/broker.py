"""Writes down every message that goes through a zone's broker, as the broker tells it."""

import os
import socket
import threading
import time
from urllib.parse import urlsplit


class Listener:
    """Keeps what MONITOR says, one command a line; goes on when the broker is started again."""

    def __init__(self, zone):
        self._address = str(zone.home / "run" / "valkey.sock")
        if not zone.own_broker:
            self._address = urlsplit(os.environ["REDIS_URL"])
        self._done = threading.Event()
        self._parts = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        """Stop, and return everything that was heard."""
        self._done.set()
        self._thread.join()
        return b"".join(self._parts)

    def _listen(self):
        while not self._done.is_set():
            try:
                with self._connected() as client:
                    client.settimeout(0.5)
                    client.sendall(b"MONITOR\r\n")
                    self._hear(client)
            except OSError:
                time.sleep(0.1)

    def _connected(self):
        """Connect to the zone's own broker, or to the one that REDIS_URL names."""
        address = self._address
        if not isinstance(address, str) and address.hostname:
            return socket.create_connection((address.hostname, address.port or 6379))
        client = socket.socket(socket.AF_UNIX)
        client.connect(address if isinstance(address, str) else address.path)
        return client

    def _hear(self, client):
        while not self._done.is_set():
            try:
                heard = client.recv(65536)
            except TimeoutError:
                continue
            if not heard:
                return
            self._parts.append(heard)
