"""
What an administrator does, as a process of its own: `python -m tests.journeys.orders ORDER ...`.

It calls the actions that the views call, with the zone's own settings and database.
"""

import hashlib
import json
import os
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"
django.setup()

from django.contrib.auth.models import User  # noqa: E402

from certificates import backups, guard, importing, sealing_keys  # noqa: E402
from certificates.actions import (  # noqa: E402
    authorities,
    change_ca,
    decisions,
    key_requests,
    operations,
)
from certificates.actions.authorities import RemintWishes  # noqa: E402
from certificates.management.commands import setup_demo  # noqa: E402
from certificates.models import CertificateAuthority, KeyRequest, Operation  # noqa: E402
from devices import actions as devices  # noqa: E402
from devices import mobiles  # noqa: E402
from devices.models import Device, Zone  # noqa: E402
from pki import trusted_root  # noqa: E402
from systemupdates import actions as updates  # noqa: E402
from systemupdates import chosen  # noqa: E402
from zcc.ground import clock, here  # noqa: E402
from zcc.ground.ports import device_url  # noqa: E402


def remint(common_name, seconds, policy):
    ca = CertificateAuthority.objects.get(state="active")
    wishes = RemintWishes(
        common_name=common_name,
        key_type="ec-p256",  # the journeys make many handshakes on few cores
        years=3,
        include_additional_dns_names=True,
        activate_at=_in(seconds),
        policy=policy,
        idempotency_key=uuid.uuid4(),
        waive_silent=True,
    )
    return authorities.remint(ca, wishes, by=admin(), now=clock.now()).pk


def change_to_internal(server, seconds):
    wishes = change_ca.InternalWishes(
        common_name="DEMO-ZONE",
        years=3,
        server=Device.objects.get(name=server),
        **_wished(seconds),
    )
    return change_ca.change_to_internal(_active(), wishes, by=admin(), now=clock.now()).pk


def change_to_external(chain, console, seconds):
    wishes = change_ca.ExternalWishes(
        trusted=trusted_root.read(Path(chain).read_bytes(), now=clock.now()),
        csr_mode="automatic",
        csr_subject={"O": "Nordhavn", "C": "DK"},
        console=Device.objects.get(name=console),
        **_wished(seconds),
    )
    return change_ca.change_to_external(_active(), wishes, by=admin(), now=clock.now()).pk


def _wished(seconds):
    return {
        "key_type": "ec-p256",
        "include_additional_dns_names": True,
        "activate_at": _in(seconds),
        "idempotency_key": uuid.uuid4(),
        "waive_silent": True,
    }


def _in(seconds):
    """So many seconds after the order is there: how long it takes to start is no matter."""
    return clock.now().replace(microsecond=0) + timedelta(seconds=float(seconds))


def _active():
    return CertificateAuthority.objects.get(state="active")


def import_certificates(operation, *paths):
    """Return the verdicts on what the external CA has sent back."""
    files = [(Path(path).name, Path(path).read_bytes()) for path in paths]
    row = Operation.objects.get(pk=operation)
    verdicts = importing.import_files(row, files, by=admin(), now=clock.now())
    return [f"{verdict.word}: {verdict.text}" for verdict in verdicts]


def assign_now(operation):
    operations.assign_now(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def cancel(operation):
    operations.cancel(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def clear_failure(operation):
    operations.clear_failure(Operation.objects.get(pk=operation))


def retire(operation):
    authorities.retire_old_ca(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def sign_off(operation):
    """Sign off whoever would be lost now; return their names."""
    row = Operation.objects.get(pk=operation)
    devices = set(guard.lost(row).values_list("pk", flat=True))
    signed = decisions.sign_off(row, devices, reason="on leave", by=admin(), now=clock.now())
    return [name for _, name in signed.devices]


def roll_back(operation):
    row = Operation.objects.get(pk=operation)
    decisions.roll_back(row, reason="card readers", by=admin(), now=clock.now())


def redeploy(operation, device):
    update = Operation.objects.get(pk=operation).update
    found = Device.objects.filter(name=device)
    return chosen.redeploy(update, found, by=admin(), now=clock.now())


def back_up(on, passphrase):
    """Ask for a backup on the console of the server `on`; return the request's id."""
    zone = Zone.objects.get()
    return key_requests.back_up(zone, passphrase, asker=asker(on), now=clock.now()).pk


def fetch(request, path):
    """Write the backup to a file, as the console gives it to a browser."""
    row = KeyRequest.objects.select_related("zone", "server", "asked_from").get(pk=request)
    home = here.home(row.asked_from.name)
    data = sealing_keys.unseal(bytes(row.answer), context=backups.answer(row), home=home)
    Path(path).write_bytes(data)


def restore(on, to, path, passphrase):
    data = Path(path).read_bytes()
    upload = key_requests.Upload(
        name="backup.zip",
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        passphrase=passphrase,
    )
    zone, server = Zone.objects.get(), Device.objects.get(name=to)
    return key_requests.restore(zone, server, upload, asker=asker(on), now=clock.now()).pk


def move_role(on, to):
    zone, server = Zone.objects.get(), Device.objects.get(name=to)
    return key_requests.move_role(zone, server, asker=asker(on), now=clock.now()).pk


def asker(on):
    server = Device.objects.get(name=on)
    return key_requests.Asker(by=admin(), server=server, home=here.home(on))


def prepare_more(network):
    """Add to a demo zone that is not started yet: a second Content Satellite and two mobiles."""
    zone, now = Zone.objects.get(), clock.now()
    authority = setup_demo.zone_ca(zone)
    first = device_url(f"{network}.{setup_demo.SERVERS['ps1']}")
    key = devices.create_registration_key(zone, name="more", now=now)
    facts = {"servers": [first], "key": key, "fingerprint": authority.sha256}
    place = {"address": f"{network}.13", "roles": ["content"], "kind": "server"}
    setup_demo._write_enrolment("cache2", {**facts, **place})
    for name in ("phone4", "tablet2"):
        secret = mobiles.make_link(
            zone, name, folder=mobiles.FOLDER, lifetime=setup_demo.LINK_LIFETIME, by=None, now=now
        )
        link = mobiles.address(first, secret, [authority.sha256])
        setup_demo._write(name, "mobile.json", {"link": link})


def enrol_again(network, name):
    """Leave in the empty home of a Satellite what it takes its old place with."""
    device, authority = Device.objects.get(name=name), _active()
    key = devices.create_registration_key(
        device.zone, name="again", replaces=device, uses=1, now=clock.now()
    )
    first = device_url(f"{network}.{setup_demo.SERVERS['ps1']}")
    facts = {"servers": [first], "key": key, "fingerprint": authority.sha256}
    place = {"address": device.address, "roles": device.given_roles, "kind": "server"}
    setup_demo._write_enrolment(name, {**facts, **place})


def schedule(replication, refresh):
    """Set the two intervals of the zone, in seconds."""
    Zone.objects.update(
        replication_interval=timedelta(seconds=float(replication)),
        refresh_interval=timedelta(seconds=float(refresh)),
    )


def admin():
    return User.objects.get(username="admin")


ORDERS = {
    order.__name__: order
    for order in (
        remint,
        change_to_internal,
        change_to_external,
        import_certificates,
        assign_now,
        cancel,
        clear_failure,
        retire,
        sign_off,
        roll_back,
        redeploy,
        back_up,
        fetch,
        restore,
        move_role,
        prepare_more,
        enrol_again,
        schedule,
    )
}
REFUSALS = (
    authorities.Refused,
    authorities.OperationInProgress,
    operations.NotPossibleNow,
    decisions.NotPossibleNow,
    updates.NotPossibleNow,
)


def main(name, *words):
    try:
        answer = {"done": ORDERS[name](*words)}
    except REFUSALS as refusal:
        answer = {"refused": str(refusal)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
