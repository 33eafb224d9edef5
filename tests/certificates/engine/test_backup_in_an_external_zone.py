"""The zone's own keys while the CA is external: what a backup holds, says, and counts for."""

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from certificates.actions import decisions
from certificates.models import IdentityCA, KeyRequest, VerifiedBackup
from pki import backup, backup_contents
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.engine import changing
from tests.certificates.engine.beside_external import outside, retired
from tests.certificates.engine.keeping import PASSPHRASE, make_backup
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock, here

__all__ = ["outside", "retired"]

INDEX = reverse("certificates:index")


@pytest.fixture
def console(client, living):
    client.force_login(building.make_person("carol", "manage_certificates", "back_up_ca"))
    return client


def verify(console, living, file):
    data = {"backup_file": SimpleUploadedFile("backup.zip", file), "passphrase": PASSPHRASE}
    answer = console.post(reverse("certificates:verify_backup"), data)
    assert answer.status_code == 303
    living.run()
    return console.get(answer["Location"], follow=True).text


def test_page_says_where_the_keys_are_and_when_they_were_backed_up(console, outside):
    page = console.get(INDEX).text

    assert "<dt>Update key</dt><dd>On ps1" in page
    assert "another one is made by itself" in page
    assert "by alice, verified" in page
    assert f"it has the update key, and the key of {outside.first_ca.named}" in page
    assert 'id="backup-first"' not in page


def test_internal_zone_says_nothing_of_it(console, living):
    assert "<dt>Update key</dt>" not in console.get(INDEX).text


def test_page_asks_for_a_backup_until_there_is_one(console, outside, monkeypatch):
    VerifiedBackup.objects.all().delete()
    page = console.get(INDEX).text
    assert "None yet" in page
    assert "Back up the update key." in page
    assert "It exists once, on ps1. If that disk fails, it is lost." in page

    words = {"passphrase": PASSPHRASE, "confirm": PASSPHRASE, "password": PASSWORD}
    monkeypatch.setenv(here.VARIABLE, "ps1")
    console.post(reverse("certificates:backup_ca"), words)
    outside.run()
    monkeypatch.setenv(here.VARIABLE, "ps1")
    request = KeyRequest.objects.latest("pk")
    fetched = console.get(reverse("certificates:download_backup", args=[request.guid]))

    assert backup.read(fetched.getvalue(), PASSPHRASE).external == outside.ca.x509()
    assert VerifiedBackup.objects.filter(authority=outside.ca, by__username="carol").exists()
    assert "None yet" not in console.get(INDEX).text


def test_all_four_are_offered_under_more(console, outside):
    page = console.get(INDEX).text

    menu = page.split("More ")[1].split("</ul>")[0]
    for button in ("move-ca-role", "backup-ca", "verify-backup"):
        assert f'id="{button}"' in menu
    assert "before you restore one" in menu  # in Overlap
    for stem in ("backup_ca", "restore_ca", "move_ca_role"):
        assert console.get(reverse(f"certificates:{stem}")).status_code == 200


def test_dialogs_speak_of_the_update_key(console, retired):
    said = {stem: console.get(reverse(f"certificates:{stem}")).text for stem in
            ("backup_ca", "move_ca_role", "restore_ca")}  # fmt: skip

    assert "The key of the external CA is not in this zone." in said["backup_ca"]
    assert "The update key is now on" in said["move_ca_role"]
    assert "has the update key)" in said["restore_ca"]
    assert "Any backup of this zone will do" in said["restore_ca"]
    assert "has the CA role" not in "".join(said.values())


def test_backup_holds_what_the_zone_has_of_its_own(outside):
    held = backup.read(make_backup(outside), PASSPHRASE)

    assert [one.guid for one in held.generations] == [outside.first_ca.guid]
    signer = IdentityCA.objects.get()
    assert [(one.guid, one.certificate) for one in held.identities] == [
        (signer.guid, signer.x509())
    ]
    assert held.external == outside.ca.x509()


def test_older_backup_is_verified_and_called_what_it_is(console, outside):
    page = verify(console, outside, outside.file)

    assert "This backup is good." in page
    assert "The CA of today is external: its key is not in this zone." in page
    assert "Make a new one" not in page


def test_newer_one_says_that_it_has_the_identity_ca(console, outside):
    page = verify(console, outside, make_backup(outside))

    assert "This backup is good." in page
    assert "Held: 1 key, for identities of mobile devices" in page


@pytest.mark.parametrize("theirs", ["zone", "update_key"])
def test_backup_of_another_zone_under_the_same_root_counts_for_nothing(console, outside, theirs):
    VerifiedBackup.objects.all().delete()
    found = backup.read(make_backup(outside), PASSPHRASE)
    other = {"zone": uuid4(), "update_key": Ed25519PrivateKey.generate()}[theirs]
    changed = backup_contents.Contents(**{**vars(found), "generations": (), theirs: other})

    page = verify(console, outside, backup.write(changed, PASSPHRASE))

    assert "This backup is good." not in page
    assert ("no backup of this zone" if theirs == "update_key" else "of another zone") in page
    assert not VerifiedBackup.objects.exists()
    assert "None yet" in console.get(INDEX).text


def test_dialog_says_which_key_stays_on_another_server(console, retired):
    back = changing.carry_through(retired, changing.to_internal(retired, "ps2"))
    decisions.roll_back(back, reason="no", by=retired.alice, now=clock.now())
    retired.run()

    text = console.get(reverse("certificates:backup_ca")).text

    assert f"The key of {back.new_ca.named} is on ps2, and stays there until that CA ends." in text


def test_whoever_may_not_back_up_may_do_none_of_it(client, outside):
    client.force_login(building.make_person("dave", "manage_certificates"))

    page = client.get(INDEX).text
    for stem in ("backup_ca", "verify_backup", "restore_ca"):
        assert client.get(reverse(f"certificates:{stem}")).status_code == 403
        assert f'id="{stem.replace("_", "-")}"' not in page
    assert 'id="move-ca-role"' in page


def test_page_misses_the_signing_server_and_offers_the_way_out(console, retired):
    retired.fall_silent("ps1")

    page = console.get(INDEX).text

    assert "<b>ps1, which signs what devices are told to trust, does not run.</b>" in page
    assert "restore its keys on another Primary Server from a backup" in page
    assert 'id="restore-ca"' in page
    assert 'id="backup-ca"' not in page  # only ps1 could
    assert "Start ps1, or restore its keys from a backup." in page


@pytest.mark.parametrize("state", ["replicating", "assigned"])
def test_none_is_made_while_an_operation_is_open(console, living, tmp_path, state):
    acme = ExternalCA(tmp_path / "outside")
    changing.carry_through(living, changing.to_external(living, acme), external=acme, until=state)

    text = console.get(reverse("certificates:backup_ca")).text

    assert "Change CA is in progress." in text
    assert 'name="passphrase"' not in text
