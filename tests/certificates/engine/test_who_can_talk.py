"""
Who can talk to whom: each cell of the matrix against a real handshake, in every phase.

The servers' homes are shown by the product's own listeners; clients are OpenSSL and GnuTLS, with
the CAs of a row and nothing else.
"""

import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager

import pytest

from agent import serve
from agent.client import trusting, trusting_at_any_time
from agent.serve import Listener, ListenerThread
from certificates.actions import authorities, decisions
from certificates.models import CertificateAuthority, Operation
from certificates.who_can_talk import WhoCanTalk
from devices.models import Device
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock, here

THROUGH = {"Yes", "By link", "By backward link"}
PHASES = ["replicating", "armed", "overlap", "completed", "rolled back", "strict"]


def known(living):
    """Every set of CAs that a device may have come to, by the generations it trusts."""
    found = {ca.generation: ca for ca in CertificateAuthority.objects.filter(zone=living.zone)}
    sets = [[generation] for generation in found] + [sorted(found)]
    return {tuple(one): [found[generation] for generation in one] for one in sets}


def report(living):
    """Let there be a device for each set of CAs, and one that has reported nothing."""
    Device.objects.exclude(kind="primary").delete()
    for generations, cas in known(living).items():
        name = "-".join(map(str, generations))
        device = living.add_workstation(f"ws-{name}")
        Device.objects.filter(pk=device.pk).update(
            trusted_fingerprints=sorted(ca.sha256 for ca in cas)
        )
    device = living.add_workstation("ws-new")
    Device.objects.filter(pk=device.pk).update(trusted_fingerprints=[])


def sign_off(living, operation):
    """Whoever would be lost is not waited for."""
    lost = [[device.pk, device.name] for device in Device.objects.all()]
    operation.sign_offs.create(devices=lost, reason="x", by=living.alice, at=clock.now())


def reach(living, phase):
    """Take a zone to a phase of a remint."""
    if phase == "rolled back":
        operation = living.reach("overlap")
        decisions.roll_back(operation, reason="x", by=living.alice, now=clock.now())
        living.run()
    elif phase == "strict":
        operation = living.reach("assigned", policy="strict")
        sign_off(living, operation)
        living.run(at=operation.cutoff_at)
        living.run(at=operation.activate_at)
    else:
        living.reach(phase)


@contextmanager
def shown(name, number):
    """Show a home's live certificate and its rescue port at the server's own address."""
    address, ports = f"127.99.0.{number}", {}
    for port in ("tls", "rescue"):
        with socket.create_server((address, 0)) as free:
            ports[port] = free.getsockname()[1]
    thread = ListenerThread(Listener(address, serve.ports_of(here.home(name), **ports, log=print)))
    thread.start()
    yield address, ports
    thread.stop()


def openssl_accepts(address, port, context):
    try:
        with (
            socket.create_connection((address, port), 5) as plain,
            context.wrap_socket(plain, server_hostname=address),
        ):
            return True
    except OSError:
        return False


def gnutls_accepts(address, port, anchors, tmp_path):
    file = tmp_path / "anchors.pem"
    file.write_bytes(anchors)
    words = ["gnutls-cli", "--x509cafile", file, "--port", str(port), address]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    return ended.returncode == 0


def pem(cas):
    return "".join(ssl.DER_cert_to_PEM_cert(bytes(ca.der)) for ca in cas).encode()


def on_the_wire(place, anchors):
    """Return by what a client gets through: the port itself, the rescue port, or nothing."""
    address, ports = place
    if openssl_accepts(address, ports["tls"], trusting(anchors)):
        return "through"
    by_rescue = trusting_at_any_time(anchors)
    return "rescue" if openssl_accepts(address, ports["rescue"], by_rescue) else "nothing"


def as_words(word):
    return "through" if word in THROUGH else {"By rescue port": "rescue", "No": "nothing"}[word]


@pytest.mark.parametrize("phase", PHASES)
def test_every_cell_agrees_with_a_real_handshake(living, tmp_path, phase):
    reach(living, phase)
    report(living)
    table = WhoCanTalk(living.zone, now=clock.now()).table("now")
    sets = {",".join(sorted(ca.sha256 for ca in cas)): cas for cas in known(living).values()}

    with ExitStack() as stack:
        places = [stack.enter_context(shown(name, n)) for n, name in enumerate(SERVERS, 1)]
        for row in table.rows[:-1]:
            anchors = pem(sets[row.reported.replace('"', "").strip("[]").replace(", ", ",")])
            for cell, place in zip(row.cells, places, strict=True):
                seen = on_the_wire(place, anchors)
                assert (phase, row.label, as_words(cell.word)) == (phase, row.label, seen)
                if shutil.which("gnutls-cli"):
                    told = gnutls_accepts(place[0], place[1]["tls"], anchors, tmp_path)
                    assert (row.label, told) == (row.label, seen == "through")
    assert [cell.word for cell in table.rows[-1].cells] == ["Not known"] * 3


def words(living, state):
    table = WhoCanTalk(living.zone, now=clock.now()).table(state)
    return {row.reported: [cell.word for cell in row.cells] for row in table.rows}


def test_what_is_foretold_comes_true(living):
    operation = living.reach("assigned")
    report(living)
    foretold = words(living, "activation"), words(living, "rollback")
    sign_off(living, operation)

    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    activated, retirement = words(living, "now"), words(living, "retirement")
    decisions.roll_back(
        Operation.objects.get(pk=operation.pk), reason="x", by=living.alice, now=clock.now()
    )
    living.run()

    assert (activated, words(living, "now")) == foretold
    assert retirement != activated


def test_retirement_is_foretold_too(living):
    operation = living.reach("overlap")
    report(living)
    foretold = words(living, "retirement")

    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()

    assert words(living, "now") == foretold


def test_link_is_what_carries_those_who_know_only_the_old_ca(living):
    living.reach("overlap")
    report(living)
    (old, new) = CertificateAuthority.objects.order_by("generation")
    found = {row.label: row.cells[0].word for row in _rows(living)}

    assert found["Only the old CA"] == "By link"
    assert found["Only the new CA"] == "Yes"
    assert found["Old and new CA"] == "Yes"
    assert old.sha256 != new.sha256


def _rows(living):
    return WhoCanTalk(living.zone, now=clock.now()).table("now").rows


# The page


def page(client, living, state="now"):
    client.force_login(living.alice)
    return client.get(f"/certificates/who-can-talk/?state={state}").text


def test_page_names_who_is_cut_off_and_what_helps(client, living):
    living.reach("completed")
    device = living.add_workstation("osl-ws-01")
    old = CertificateAuthority.objects.get(generation=1)
    Device.objects.filter(pk=device.pk).update(trusted_fingerprints=[old.sha256])

    text = page(client, living)

    assert ">osl-ws-01</a>" in text
    assert "The Certificate Updater Tool at /zenworks-setup brings such a device back." in text


def test_without_an_operation_there_is_only_now(client, living):
    text = page(client, living, "rollback")

    assert "After activation" not in text
    assert "None is cut off." in text


def test_queries_do_not_grow_with_devices(living, django_assert_max_num_queries):
    living.reach("overlap")
    for number in range(50):
        living.add_workstation(f"more-{number}")

    with django_assert_max_num_queries(40):
        found = WhoCanTalk(living.zone, now=clock.now())
        [found.table(state) for state in found.states]
