"""
A zone of one server that really listens, and agents that really connect.

The server's ports are the product's own listeners on its home, the device API its own functions
behind a small TLS server. Agents run in a thread, so that the database is asked in the test's own.
"""

import os
import queue
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509
from cryptography.x509.oid import NameOID

from agent import enrol, loop, pem, serve, trust
from agent.device import Device as Agent
from agent.enrol import Application
from agent.home import Home
from agent.hot_context import HotContext
from agent.loop import Bell, Loop
from certificates.models import CertificateAuthority
from devices import actions as devices
from devices.models import Device
from tests.agent.server import Running
from tests.certificates.engine.conftest import Living
from zcc import device_api
from zcc.ground import clock, here, ports

# Of this process alone: other tests may listen at the same time.
NETWORK = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250 + 1}"
ADDRESS = f"{NETWORK}.1"


def on_the_wire(settings, folder):
    """For fixtures: a zone whose server listens while the test lasts."""
    settings.ZCC_HOME = folder
    settings.SECRET_KEY_FILE = folder / "secrets/secret_key"
    with Wired(folder) as wired:
        yield wired


class DeviceAPI(Running):
    """Port 7444 of the server: its live certificate; what is asked waits for the test's thread."""

    def __init__(self, home):
        super().__init__(ADDRESS, ports.DEVICE_API)
        self.hot = HotContext(home.server_pem, log=print)
        self.http.socket = self.hot.context.wrap_socket(
            self.http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.calls = queue.Queue()

    def get(self, path):
        return self._ask("GET", path, b"", {})

    def post(self, path, body, headers):
        return self._ask("POST", path, body, headers)

    def _ask(self, method, path, body, headers):
        answer = queue.Queue()
        self.calls.put((method, path, body, headers, answer))
        return answer.get(timeout=30)

    def answer_one(self):
        try:
            method, path, body, headers, answer = self.calls.get(timeout=0.005)
        except queue.Empty:
            return
        scope = {"headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()]}
        try:
            answer.put(device_api.ROUTES[method, path](scope, body))
        except device_api.Refused as error:
            answer.put((error.status, {"error": str(error)}))


class Wired(Living):
    """The zone; `agent(name)` enrols a device that is asleep whenever it is not woken."""

    def __init__(self, folder):
        super().__init__(["ps1"], NETWORK)
        Device.objects.filter(name="ws1").delete()
        self.folder, self.home, self.said = folder, here.home("ps1"), []
        self.key = devices.create_registration_key(self.zone, name="test", now=clock.now())
        self.api = DeviceAPI(self.home)
        numbers = {"content": ports.CONTENT, "canary": ports.CANARY, "rescue": ports.RESCUE}
        offered = serve.ports_of(self.home, **numbers, log=print)
        self.listener = serve.ListenerThread(serve.Listener(ADDRESS, offered))

    def __enter__(self):
        self.api.__enter__()
        self.listener.start()
        return self

    def __exit__(self, *exc_info):
        self.listener.stop()
        self.api.__exit__(*exc_info)

    def meanwhile(self, act):
        """Do something in another thread and answer what it asks the device API."""
        os.environ[here.VARIABLE] = "ps1"
        with ThreadPoolExecutor(1) as pool:
            doing = pool.submit(act)
            while not doing.done():
                self.api.answer_one()
        return doing.result()

    def agent(self, name):
        application = Application(
            server=ports.device_url(ADDRESS),
            key=self.key,
            fingerprint=self.ca.sha256,
            name=name,
            kind="workstation",
            dns_name=name,
            addresses=["127.0.0.1"],
            roles=[],
        )
        home = Home(self.folder / name)
        self.meanwhile(lambda: enrol.enrol(home, application, loop.now))
        return self.wake(home)

    def wake(self, home):
        """Let the agent in this home refresh, and do what is due, until nothing is."""
        agent = Agent(home, log=self.said.append, wake=lambda: None)
        running = Loop(agent, Bell())
        for _ in range(8):
            self.meanwhile(running.turn)
            self.run()
            if not agent.has_news():
                break
        return home

    def devices_have_refreshed(self):
        """What they trust they say themselves."""

    def assign(self, *agents, policy="overlap"):
        """Begin a remint and assign it; only these devices are awake, and prove the new CA."""
        operation = self.remint(policy=policy)
        self.run()
        self.replicate_now()
        self.run()
        for home in agents * 2:  # the second time it knows what it is to prove
            self.wake(home)
        operation.refresh_from_db()
        return operation

    def activate(self, operation, *agents):
        """Let the hour come; only these devices are awake and notice."""
        self.run(at=operation.cutoff_at)
        self.run(at=operation.activate_at)
        for home in agents:
            self.wake(home)
        operation.refresh_from_db()
        return operation

    def remint_in_overlap(self, *agents):
        for name in self.servers:
            self.beat(name)  # many remints in one test take longer than a server may be silent
        operation = self.activate(self.assign(*agents), *agents)
        assert operation.state == "overlap"
        return operation

    @property
    def anchors(self):
        """What everybody is to trust now."""
        trusted = CertificateAuthority.objects.filter(zone=self.zone).trusted()
        return sorted(ca.sha256 for ca in trusted)

    def links(self):
        """Return the issuer and the subject of each link that the server sends: generations."""
        found = [x509.load_pem_x509_certificate(link) for link in sent_by(self.home)[1:]]
        return [(generation(link.issuer), generation(link.subject)) for link in found]


def generation(name):
    (number,) = name.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return int(number.value.removeprefix("G"))


def trusts(home):
    """Return the fingerprints of the anchors that the device has in its file."""
    return sorted(trust.fingerprints(trust.current(home)))


def sent_by(home):
    """Return what the server sends: its leaf, and the link if there is one."""
    return pem.split(home.live().chain_pem)
