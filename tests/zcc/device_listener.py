"""The device API on its real port, over TLS, and the worker that signs, in threads of a test."""

import os
import threading
import time

from django.db import connection

from agent import pem
from certificates import identities, installing
from certificates.installing import ExternalCA, InternalCA
from certificates.joining import NewServer
from tests.certificates.engine.outside import Outside
from tests.zcc.est import issue_all, make_identity_cas
from zcc.ground import clock, here, ports
from zcc.processes import parts

# Nobody else's: each process that tests has its own.
ADDRESS = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.1"


INTERNAL = InternalCA(common_name="TEST", key_type="ec-p256")


def external_ca(server):
    """Return what a CA that is not ours has signed for the server."""
    outside = Outside("Acme")
    leaf, key = outside.leaf(server)
    return ExternalCA(chain=[leaf], root=outside.root, key=key)


class Listener:
    """A zone of one server that answers at `url` while the context lasts."""

    url = f"https://{ADDRESS}:{ports.DEVICE_API}"

    def __init__(self, kind="internal"):
        server = NewServer(name="ps1", dns_name="ps1.test.zone", addresses=[ADDRESS])
        ca = external_ca(server) if kind == "external" else INTERNAL
        self.home = here.home("ps1")
        self.zone = installing.set_up_zone("TEST", server, ca, home=self.home, now=clock.now())
        make_identity_cas(self.zone)
        self.home.write_file(here.ISSUERS, identities.issuers_pem(self.zone))
        self.ca_file = self.home.path / "security/ca.cert"
        self.fingerprint = pem.fingerprint(self.ca_file.read_bytes())
        self._stopped = threading.Event()

    def __enter__(self):
        self._server = parts.device_api_server(here.identity("ps1"))
        self._threads = [
            threading.Thread(target=run, daemon=True)
            for run in (lambda: parts.run_asgi(self._server), self._sign)
        ]
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the device API does not listen"
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._server.should_exit = True
        for thread in self._threads:
            thread.join(10)

    def _sign(self):
        try:
            while not self._stopped.wait(0.2):
                issue_all()
        finally:
            connection.close()
