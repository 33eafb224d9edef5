"""A backup that lacks the key of a CA that is still trusted says so, wherever it is looked at."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from certificates.actions import authorities
from certificates.models import KeyRequest
from pki import archive, backup
from tests.certificates import building
from tests.certificates.engine import changing
from tests.certificates.engine.keeping import PASSPHRASE, make_backup
from zcc.ground import clock

SENTENCE = "The key of generation 1 is not in it."


@pytest.fixture
def console(client, living):
    client.force_login(building.make_person("carol", "manage_certificates", "back_up_ca"))
    return client


@pytest.fixture
def changed(living):
    """The CA is on ps2, in Overlap; the key of the first one stays on ps1."""
    living.operation = changing.carry_through(living, changing.to_internal(living, "ps2"))
    return living


def verify(console, living, file):
    data = {"backup_file": SimpleUploadedFile("backup.zip", file), "passphrase": PASSPHRASE}
    answer = console.post(reverse("certificates:verify_backup"), data)
    living.run()
    return console.get(answer["Location"], follow=True).text


def test_file_and_verdict_say_which_key_is_elsewhere(console, changed):
    file = make_backup(changed)

    page = verify(console, changed, file)

    assert "This backup is good." in page
    assert SENTENCE in page
    assert "its key is on ps1 alone unless another backup holds it" in page
    assert b"Generation 1 was still trusted" in archive.read(file)["README.txt"]
    assert backup.read(file, PASSPHRASE).not_held == (1,)


def test_dialog_of_a_backup_that_was_made_says_it_too(client, changed):
    make_backup(changed)
    client.force_login(changed.alice)

    page = client.get(reverse("certificates:key_request", args=[KeyRequest.objects.get().guid]))

    assert SENTENCE in page.text


def test_complete_backup_says_nothing_of_it(console, changed):
    authorities.retire_old_ca(changed.operation, by=changed.alice, now=clock.now())
    changed.run()
    file = make_backup(changed, on="ps2")

    assert "is not in it" not in verify(console, changed, file)
    assert backup.read(file, PASSPHRASE).not_held == ()
