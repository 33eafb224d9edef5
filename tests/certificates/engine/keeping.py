"""What an administrator asks about the zone's keys, and how the zone stands afterwards."""

import hashlib

from certificates import backups, keys, sealing_keys
from certificates.actions import key_requests
from certificates.actions.key_requests import Asker, Upload
from certificates.models import CertificateAuthority, IssuedCertificate, KeyRequest
from devices.models import Device
from pki import signatures
from tests.certificates.engine.conftest import SERVERS, new_server
from zcc.ground import clock, here

PASSPHRASE = "correct horse battery"


def server(name):
    return Device.objects.select_related("zone", "heartbeat").get(name=name)


def asker(living, name="ps1"):
    return Asker(by=living.alice, server=server(name), home=here.home(name))


def upload(file, passphrase=PASSPHRASE, name="backup.zip"):
    sha256 = hashlib.sha256(file).hexdigest()
    return Upload(name=name, data=file, sha256=sha256, passphrase=passphrase)


def ask_backup(living, *, on="ps1", passphrase=PASSPHRASE):
    return key_requests.back_up(living.zone, passphrase, asker=asker(living, on), now=clock.now())


def ask_restore(living, file, *, to="ps1", on="ps1", passphrase=PASSPHRASE):
    return key_requests.restore(
        living.zone,
        server(to),
        upload(file, passphrase),
        asker=asker(living, on),
        now=clock.now(),
    )


def ask_move(living, *, to, on="ps1"):
    return key_requests.move_role(living.zone, server(to), asker=asker(living, on), now=clock.now())


def fetched(request):
    """The file that the console downloads, opened in the home of the server that asked."""
    request.refresh_from_db()
    assert (request.state, request.problem) == ("done", "")
    return sealing_keys.unseal(
        bytes(request.answer),
        context=backups.answer(request),
        home=here.home(request.asked_from.name),
    )


def make_backup(living, **how):
    request = ask_backup(living, **how)
    living.run()
    return fetched(request)


def after(request):
    request.refresh_from_db()
    return request.state, request.problem


def role(living):
    """The names of the servers that the zone's CAs give the role to."""
    return set(living.zone.authorities.values_list("server__name", flat=True))


def holders():
    """The servers in whose homes any key of the CA role lies."""
    return {name for name in SERVERS if list((here.home(name).path / "ca").glob("*.key"))}


def assert_only_holder(living, name):
    """Role and keys are on one server, which signs: a server's new request is answered."""
    assert (role(living), holders()) == ({name}, {name})
    for authority in CertificateAuthority.objects.filter(zone=living.zone):
        key = keys.load_ca_key(here.home(name), living.zone, authority.guid)
        assert signatures.proves_itself(key, authority.x509().public_key())
    assert_signs(living)


def assert_signs(living):
    before = IssuedCertificate.objects.exclude(der=None).count()
    number = 4 + before
    living.join(new_server(number), ca=living.ca.server.name)

    issued = IssuedCertificate.objects.exclude(der=None)
    assert issued.count() == before + 1
    serials = list(issued.values_list("serial", flat=True))
    assert len(set(serials)) == len(serials)
    Device.objects.filter(name=f"ps{number}").update(retired_at=clock.now())


def nothing_secret_is_left(request):
    row = KeyRequest.objects.get(pk=request.pk)
    return row.sealed is None and (row.state == "done" or row.answer is None)


def key_files(name):
    return sorted(path.name for path in (here.home(name).path / "ca").glob("*.key"))
