"""The buttons Backup CA, Verify backup, Restore CA and Move CA Role, on a console with a home."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from certificates.actions import authorities
from certificates.models import KeyRequest, VerifiedBackup
from pki import backup
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_refused
from tests.certificates.engine import changing
from tests.certificates.engine.keeping import PASSPHRASE, make_backup, role, server
from zcc.ground import clock

STEMS = ["backup_ca", "verify_backup", "restore_ca", "move_ca_role"]


@pytest.fixture
def carol(living):
    """May manage certificates, and back up and restore the CA."""
    return building.make_person("carol", "manage_certificates", "back_up_ca")


@pytest.fixture
def console(client, carol):
    client.force_login(carol)
    return client


def address(stem):
    return reverse(f"certificates:{stem}")


def data_for(stem, living, **changes):
    upload = {"backup_file": SimpleUploadedFile("backup.zip", living.file)}
    server_pk = {"server": server("ps2").pk}
    known = {
        "backup_ca": {"passphrase": PASSPHRASE, "confirm": PASSPHRASE, "password": PASSWORD},
        "verify_backup": {**upload, "passphrase": PASSPHRASE},
        "restore_ca": {**upload, **server_pk, "passphrase": PASSPHRASE, "password": PASSWORD},
        "move_ca_role": {**server_pk, "password": PASSWORD},
    }
    return {**known[stem], **changes}


@pytest.fixture
def filed(living):
    """The zone has a backup, which nobody has fetched."""
    living.file = make_backup(living)
    KeyRequest.objects.all().delete()
    return living


def press(console, living, stem, **changes):
    """Submit the dialog; return the page that says what became of it, and the request."""
    answer = console.post(address(stem), data_for(stem, living, **changes))
    assert answer.status_code == 303
    living.run()
    return console.get(answer["Location"], follow=True), KeyRequest.objects.latest("pk")


def fetch(console, request):
    return console.get(reverse("certificates:download_backup", args=[request.guid]))


def test_backup_is_made_fetched_and_then_remembered(console, carol, filed):
    page, request = press(console, filed, "backup_ca")

    assert "was read back with its passphrase" in page.text
    assert (request.state, request.asked_by) == ("done", carol)
    assert not VerifiedBackup.objects.exists()  # nobody has it yet
    file = fetch(console, request)
    assert backup.read(file.getvalue(), PASSPHRASE).newest.guid == filed.ca.guid
    assert file["Content-Disposition"].startswith('attachment; filename="test-zone-ca-')
    assert file["Cache-Control"] == "no-store"
    remembered = VerifiedBackup.objects.get()
    assert (remembered.authority, remembered.by) == (filed.ca, carol)
    assert remembered.file_sha256 == request.file_sha256


def test_backup_that_was_not_fetched_to_its_end_does_not_count(console, filed):
    _, request = press(console, filed, "backup_ca")
    begun = fetch(console, request)

    assert next(begun.streaming_content)  # the server cannot write it, and does not come back

    assert not VerifiedBackup.objects.exists()


def test_backup_says_which_key_it_will_lack(console, living):
    assert "will not be in it" not in console.get(address("backup_ca")).text
    operation = changing.carry_through(living, changing.to_internal(living, "ps2"))

    in_overlap = console.get(address("backup_ca")).text
    living.fall_silent("ps1")
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()
    away = console.get(address("backup_ca")).text
    living.beat("ps1")
    on_its_way = console.get(address("backup_ca")).text
    living.run()

    lacks = f"The key of {operation.old_ca.named} is on"
    assert f"{lacks} ps1. It stays there until the old CA is retired" in in_overlap
    assert f"{lacks} ps1, which does not answer" in away
    assert f"{lacks} its way from ps1" in on_its_way
    assert "will not be in it" not in console.get(address("backup_ca")).text


def test_backup_first_is_said_until_there_is_one(console, filed):
    index, remint = reverse("certificates:index"), reverse("certificates:remint_ca")
    assert console.get(index).text.count("Its key exists once, on ps1.") == 1
    assert "Back up first." in console.get(remint).text
    assert "None yet" in console.get(index).text

    _, request = press(console, filed, "backup_ca")
    fetch(console, request).getvalue()

    page = console.get(index).text
    assert "Its key exists once" not in page
    assert "by carol, verified" in page
    assert "Back up first." not in console.get(remint).text


def test_backup_first_comes_back_with_a_new_key(console, filed):
    _, request = press(console, filed, "backup_ca")
    fetch(console, request).getvalue()

    filed.reach("overlap")

    page = console.get(reverse("certificates:index")).text
    assert "Back up the key of the new CA." in page
    assert "holds only an older key" in page
    assert "Back up the new CA." in page  # what you must do next


def test_verification_says_what_the_file_holds(console, carol, filed):
    page, request = press(console, filed, "verify_backup")

    assert "This backup is good." in page.text
    assert "Generation 1" in page.text
    assert "Update key" in page.text
    assert (request.state, request.asked_by) == ("done", carol)
    assert role(filed) == {"ps1"}


def test_restore_gives_the_role_to_the_server(console, carol, filed):
    page, request = press(console, filed, "restore_ca")

    assert "ps2.test.zone has the CA role." in page.text
    assert (request.state, request.asked_by) == ("done", carol)
    assert role(filed) == {"ps2"}
    assert "ps2.test.zone" in console.get(reverse("certificates:index")).text


def test_move_gives_the_role_to_the_server(console, carol, filed):
    page, request = press(console, filed, "move_ca_role")

    assert "ps2.test.zone has the CA role." in page.text
    assert (request.state, request.asked_by) == ("done", carol)
    assert role(filed) == {"ps2"}


@pytest.mark.parametrize(
    ("stem", "failed"),
    [
        ("restore_ca", "The CA was not restored."),
        ("verify_backup", "The backup was not verified."),
    ],
)
def test_wrong_passphrase_leads_back_to_the_form(console, filed, stem, failed):
    page, request = press(console, filed, stem, passphrase="something else")

    form = page.context["form"]
    assert page.redirect_chain == [(f"{address(stem)}?again={request.guid}", 303)]
    assert "The passphrase does not open this file" in form["passphrase"].errors[0]
    assert failed in page.text and "Nothing has changed." in page.text
    assert "Choose backup.zip again" in page.text
    assert "something else" not in page.text
    assert (request.state, role(filed)) == ("refused", {"ps1"})
    if stem == "restore_ca":
        assert form["server"].value() == server("ps2").pk  # what was chosen stays


def test_damaged_file_and_one_too_late_lead_back_to_the_form(console, filed):
    damaged = SimpleUploadedFile("half.zip", filed.file[:-1])
    page, _ = press(console, filed, "verify_backup", backup_file=damaged)
    assert "or the file is damaged" in page.context["form"]["passphrase"].errors[0]
    answer = console.post(address("verify_backup"), data_for("verify_backup", filed))
    KeyRequest.objects.open().update(state="refused", problem="ps1 did not do it.")

    page = console.get(answer["Location"], follow=True)

    assert page.context["form"].non_field_errors() == ["ps1 did not do it."]


def test_what_was_refused_to_somebody_else_is_not_shown(client, console, filed):
    press(console, filed, "verify_backup", passphrase="something else")
    request = KeyRequest.objects.latest("pk")
    client.force_login(building.make_person("eve", "back_up_ca"))

    for again in (request.guid, "x"):
        assert "does not open" not in client.get(f"{address('verify_backup')}?again={again}").text


@pytest.mark.parametrize(
    ("stem", "changes", "sentence"),
    [
        ("backup_ca", {"passphrase": "short"}, "at least 10 characters"),
        ("backup_ca", {"passphrase": ""}, "Enter a passphrase."),
        ("backup_ca", {"confirm": "another one"}, "The two passphrases differ."),
        ("backup_ca", {"confirm": ""}, "Type the passphrase again."),
        ("backup_ca", {"password": "wrong"}, "This is not your password."),
        ("verify_backup", {"backup_file": ""}, "Choose the ZIP that Backup CA made."),
        ("verify_backup", {"passphrase": ""}, "Enter the passphrase of the backup."),
        ("restore_ca", {"backup_file": ""}, "Choose the ZIP that Backup CA made."),
        ("restore_ca", {"server": ""}, "Choose the Primary Server that gets the CA role."),
        ("restore_ca", {"server": "999999"}, "Choose one of the Primary Servers in the list."),
        ("restore_ca", {"password": ""}, "Enter your password."),
        ("move_ca_role", {"server": ""}, "Choose the Primary Server that gets the CA role."),
        ("move_ca_role", {"server": "x"}, "Choose one of the Primary Servers in the list."),
        ("move_ca_role", {"password": ""}, "Enter your password."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(console, filed, stem, changes, sentence):
    answer = console.post(address(stem), data_for(stem, filed, **changes))

    assert_is_refused(answer, sentence)
    assert PASSPHRASE not in answer.text
    assert not KeyRequest.objects.exists()


@pytest.mark.parametrize("stem", ["verify_backup", "restore_ca"])
def test_file_that_is_too_large_is_not_even_looked_at(console, filed, stem):
    large = SimpleUploadedFile("large.zip", bytes(backup.MAX_BYTES + 1))

    answer = console.post(address(stem), data_for(stem, filed, backup_file=large))

    assert_is_refused(answer, "This file is larger than 1 MiB")


@pytest.mark.parametrize("stem", STEMS)
def test_who_may_only_look_cannot(client, filed, stem):
    client.force_login(building.make_person("bob"))

    assert client.get(address(stem)).status_code == 403
    assert client.post(address(stem), data_for(stem, filed)).status_code == 403
    assert not KeyRequest.objects.exists()


def test_rights_to_back_up_and_to_manage_are_two(client, filed):
    client.force_login(building.make_person("bob", "back_up_ca"))
    assert client.get(address("backup_ca")).status_code == 200
    assert client.get(address("move_ca_role")).status_code == 403

    client.force_login(building.make_person("eve", "manage_certificates"))
    assert client.get(address("restore_ca")).status_code == 403
    assert client.get(address("move_ca_role")).status_code == 200


@pytest.mark.parametrize("stem", ["backup_ca", "restore_ca", "move_ca_role"])
def test_it_is_refused_while_an_operation_is_open(console, filed, stem):
    filed.reach("replicating")

    assert "Remint CA is in progress." in console.get(address(stem)).text
    assert_is_refused(
        console.post(address(stem), data_for(stem, filed)), "Remint CA is in progress."
    )
    assert not KeyRequest.objects.exists()


def test_nothing_is_restored_in_overlap(console, filed):
    filed.reach("overlap")

    assert "Two CAs are trusted side by side" in console.get(address("restore_ca")).text
    answer = console.post(address("restore_ca"), data_for("restore_ca", filed))
    assert_is_refused(answer, "Two CAs are trusted side by side")


def test_page_says_that_restore_is_the_way_when_the_ca_server_is_gone(console, filed):
    filed.fall_silent("ps1")

    page = console.get(reverse("certificates:index")).text

    assert "ps1, which has the CA&#x27;s key, does not run." in page
    assert "restore the CA on another Primary Server from its backup" in page
    for stem in ("backup_ca", "move_ca_role"):
        assert "use Restore CA with a backup" in console.get(address(stem)).text


@pytest.mark.parametrize(
    ("stem", "labels"),
    [
        ("backup_ca", ["Backup CA", "Passphrase", "Confirm", "Your password"]),
        ("verify_backup", ["Verify backup", "Backup file", "Passphrase"]),
        ("restore_ca", ["Restore CA", "Backup file", "Primary Server", "Passphrase"]),
        ("move_ca_role", ["Move Certificate Authority", "Certificate server now", "ps3.test.zone"]),
    ],
)
def test_dialog_shows_its_fields(console, filed, stem, labels):
    page = console.get(address(stem)).text

    assert [label for label in labels if label not in page] == []


def test_only_who_asked_sees_the_request_and_gets_the_file(client, console, filed):
    _, request = press(console, filed, "backup_ca")
    client.force_login(building.make_person("eve", "back_up_ca"))

    for stem in ("key_request", "download_backup"):
        url = reverse(f"certificates:{stem}", args=[request.guid])
        assert client.get(url).status_code == 404


def test_request_shows_itself_until_it_is_done(console, filed):
    answer = console.post(address("backup_ca"), data_for("backup_ca", filed))

    page = console.get(answer["Location"]).text

    assert "ps1 makes the backup and reads it back." in page
    assert 'hx-trigger="every 1s"' in page
    filed.run()
    assert "makes the backup" not in console.get(answer["Location"]).text
