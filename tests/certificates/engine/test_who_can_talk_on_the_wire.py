"""
Who can talk to whom: each cell of the matrix against real handshakes, in every phase.

The servers' homes are shown by the product's own listeners at the servers' own addresses. Clients
are OpenSSL, as the agent uses it, and GnuTLS, with the CAs of a row and nothing else.
"""

import shutil
import socket
import subprocess
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from agent import client, serve
from agent.serve import Listener, ListenerThread
from certificates.actions import authorities, decisions
from certificates.models import CertificateAuthority
from certificates.sent import NOW
from certificates.who_can_talk import WhoCanTalk
from devices.models import Device
from pki import keys
from tests.certificates.engine.conftest import new_server
from tests.pki.conftest import make_root
from zcc.ground import clock, here

THROUGH = {"Yes", "By link", "By backward link"}


# The stories. Each takes a fresh zone from phase to phase and names every one.


def rolled_back(living, operation):
    operation.refresh_from_db()
    decisions.roll_back(operation, reason="x", by=living.alice, now=clock.now())
    living.run()


def switched(living, operation):
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    operation.refresh_from_db()


def join(living, server):
    living.join(server)
    living.beat(server.name)
    living.servers = [*living.servers, server.name]
    living.run()


def a_remint(living):
    operation = living.reach("replicating")
    yield "replicating"
    living.replicate_now()
    living.run()
    yield "assigned"
    living.run(at=operation.cutoff_at)
    yield "armed"
    living.run(at=operation.activate_at)
    yield "overlap"
    join(living, new_server(4))
    yield "overlap, one joined"
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    yield "retired"


def a_rollback_and_again(living):
    operation = living.reach("overlap")
    join(living, new_server(4))
    rolled_back(living, operation)
    yield "rolled back, one joined in the overlap"
    living.reach("overlap")
    yield "overlap again, three generations"


def a_third_generation(living):
    living.reach("overlap")
    third = living.reach("overlap")
    yield "three generations"
    rolled_back(living, third)
    yield "the third rolled back"


def in_strict(living):
    operation = living.reach("assigned", policy="strict")
    living.run(at=operation.cutoff_at)
    yield "strict, armed"
    living.run(at=operation.activate_at)
    yield "strict, over"


def away_before_the_arming(living):
    operation = living.reach("assigned")
    living.fall_silent("ps3")
    switched(living, operation)
    yield "one was away before the arming"
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    yield "and until after the retirement"


def away_since_the_arming(living):
    operation = living.reach("armed")
    living.fall_silent("ps3")
    switched(living, operation)
    yield "one has been away since the arming"
    rolled_back(living, operation)
    yield "and until after the rollback"
    living.beat("ps3")
    living.run()
    yield "and has followed"


def away_in_the_overlap(living):
    operation = living.reach("overlap")
    living.fall_silent("ps3")
    rolled_back(living, operation)
    yield "one has been away since before the rollback"


STORIES = [
    a_remint,
    a_rollback_and_again,
    a_third_generation,
    in_strict,
    away_before_the_arming,
    away_since_the_arming,
    away_in_the_overlap,
]


# What devices trust


def workstations(living):
    return living.zone.devices.filter(kind="workstation", is_authentication_satellite=False)


def report(living):
    """Let there be a device for each CA, each neighbouring two, all, none of ours, and nothing."""
    workstations(living).delete()
    known = list(CertificateAuthority.objects.filter(zone=living.zone).order_by("generation"))
    ours = [ca.sha256 for ca in known]
    sets = [[one] for one in ours] + [ours[at : at + 2] for at in range(len(ours) - 1)]
    sets += [ours, ["f" * 64], []]
    for number, one in enumerate(sets):
        device = living.add_workstation(f"ws-{number}")
        Device.objects.filter(pk=device.pk).update(trusted_fingerprints=sorted(one))


@pytest.fixture(scope="module")
def stranger():
    """The CA of another zone."""
    return make_root(keys.generate("ec-p256"), "G1")


def anchors_of(row, stranger):
    trusted = [ca.x509() for ca in row.trusts.known] or [stranger]
    return b"".join(one.public_bytes(Encoding.PEM) for one in trusted)


# The wire


@contextmanager
def shown(homes):
    """Show what each home has to show at its address; yield the ports by address."""
    places, threads = {}, []
    for address, home in homes.items():
        places[address] = {"tls": _free(address), "rescue": _free(address)}
        ports = serve.ports_of(home, **places[address], log=print)
        threads.append(ListenerThread(Listener(address, ports)))
        threads[-1].start()
    try:
        yield places
    finally:
        for thread in threads:
            thread.stop()


def _free(address):
    with socket.create_server((address, 0)) as free:
        return free.getsockname()[1]


def homes_of(living):
    servers = living.zone.devices.primary_servers()
    return {server.address: here.home(server.name) for server in servers}


def openssl(address, port, context):
    try:
        with socket.create_connection((address, port), 5) as plain:
            context.wrap_socket(plain, server_hostname=address).close()
    except OSError:
        return False
    return True


def gnutls(address, port, file):
    words = ["gnutls-cli", "--x509cafile", file, "--port", str(port), address]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    return ended.returncode == 0


def on_the_wire(address, ports, anchors, file):
    """Return by what a client gets through: the port itself, the rescue port, or nothing."""
    is_through = openssl(address, ports["tls"], client.trusting(anchors))
    if shutil.which("gnutls-cli"):
        file.write_bytes(anchors)
        assert gnutls(address, ports["tls"], file) == is_through
    if is_through:
        return "through"
    context = client.trusting_at_any_time(anchors)
    try:
        client.call(f"https://{address}:{ports['rescue']}", "/trust-manifest", context=context)
    except (client.NoAnswer, client.Refused):
        return "nothing"
    return "rescue"


def as_seen(word):
    return "through" if word in THROUGH else {"By rescue port": "rescue", "No": "nothing"}[word]


def compare(living, homes, stranger, file, phase=""):
    """Compare every cell with what happens; return the words that were met."""
    report(living)
    table = WhoCanTalk(living.zone, now=clock.now()).table(NOW)
    cells = []
    with shown(homes) as places:
        for row in [row for row in table.rows if row.trusts.is_reported]:
            anchors = anchors_of(row, stranger)
            for cell in row.cells:
                address = cell.server.address
                seen = on_the_wire(address, places[address], anchors, file)
                said = (phase, row.label, cell.server.name, as_seen(cell.word))
                assert said == (phase, row.label, cell.server.name, seen)
                cells.append(cell.word)
    assert {server.device.address for server in table.servers} == set(homes)
    workstations(living).delete()  # otherwise the guard would hold what comes next
    return set(cells)


@pytest.mark.parametrize("story", STORIES)
def test_every_cell_agrees_with_real_handshakes(living, tmp_path, stranger, story):
    workstations(living).delete()
    for phase in story(living):
        met = compare(living, homes_of(living), stranger, tmp_path / "anchors.pem", phase)

        assert {"Yes", "No"} <= met


def refresh(satellite, times):
    satellite.refresh(times)
    Device.objects.filter(pk=satellite.row.pk).update(last_full_refresh_at=clock.now())


def test_satellite_that_has_not_switched_and_then_has(living, make_satellite, tmp_path, stranger):
    auth1 = make_satellite()
    refresh(auth1, 3)
    operation = living.reach("assigned")
    refresh(auth1, 3)
    switched(living, operation)
    homes = homes_of(living) | {"127.99.0.12": auth1.home}

    assert "By link" in compare(living, homes, stranger, tmp_path / "anchors.pem")
    auth1.home.activate(str(operation.guid))
    refresh(auth1, 2)
    assert "By link" in compare(living, homes, stranger, tmp_path / "anchors.pem")
