"""After Backup CA the dialog says by itself whether the file was fetched, when, and what to do."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.actions import key_requests
from certificates.models import KeyRequest, VerifiedBackup
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.engine.keeping import PASSPHRASE
from zcc.ground import clock, here

HTMX = {"HX-Request": "true"}


@pytest.fixture
def console(client, living):
    client.force_login(building.make_person("carol", "back_up_ca"))
    data = {"passphrase": PASSPHRASE, "confirm": PASSPHRASE, "password": PASSWORD}
    client.dialog = client.post(reverse("certificates:backup_ca"), data)["Location"]
    return client


@pytest.fixture
def made(console, living):
    living.run()
    return KeyRequest.objects.get()


def fetch(console, made):
    return console.get(reverse("certificates:download_backup", args=[made.guid])).getvalue()


def lapse(living):
    later = clock.now() + timedelta(minutes=6)
    assert key_requests.expire(living.zone, now=later) == 1


def news(console, seen):
    """Ask as the open dialog does; nothing new is a 204."""
    return console.get(f"{console.dialog}?seen={seen}", headers=HTMX)


def test_dialog_asks_again_until_the_backup_is_made(console, living):
    assert f'hx-get="{console.dialog}?seen=asked"' in console.get(console.dialog).text
    assert news(console, "asked").status_code == 204

    living.run()

    page = news(console, "asked").text
    assert "was read back with its passphrase" in page
    assert " data-download" in page  # the browser fetches it without a click
    assert f'hx-get="{console.dialog}?seen=made"' in page


def test_dialog_says_that_it_was_fetched_when_and_what_to_do(console, made):
    assert news(console, "made").status_code == 204

    fetch(console, made)

    page = news(console, "made").text
    at = VerifiedBackup.objects.get().at
    assert "was fetched at <time" in page
    assert f"{at:%H:%M}</time>.</b> It counts from now on." in page
    assert "where ps1 cannot take it along" in page
    assert f'hx-get="{reverse("certificates:verify_backup")}"' in page
    assert " data-download" not in page  # or it would be fetched again and again
    assert 'id="download-backup"' in page  # by hand it can be
    assert news(console, "fetched").status_code == 204


def test_download_that_broke_off_is_not_called_fetched(console, made):
    begun = console.get(reverse("certificates:download_backup", args=[made.guid]))

    assert next(begun.streaming_content)

    assert news(console, "made").status_code == 204
    assert "If nothing arrives, press the button" in console.get(console.dialog).text


def test_fetched_file_that_has_lapsed_is_still_called_fetched(console, made, living):
    fetch(console, made)

    lapse(living)

    page = news(console, "fetched").text
    assert "The backup was fetched at" in page
    assert 'id="download-backup"' not in page
    assert "?seen=" not in page  # nothing more will come
    assert "Back up again" not in page


def test_dialog_says_that_nobody_fetched_it_in_time(console, made, living):
    lapse(living)

    page = news(console, "made").text
    assert "The file was not fetched, and is no longer here." in page
    assert "does not count as a backup" in page
    assert made.file_sha256 not in page  # nobody has that file
    assert f'id="back-up-again" href="{reverse("certificates:backup_ca")}"' in page
    assert 'id="download-backup"' not in page
    assert "?seen=" not in page


def test_another_servers_console_says_where_it_can_be_fetched(console, made, monkeypatch):
    monkeypatch.setenv(here.VARIABLE, "ps2")

    page = console.get(console.dialog).text

    assert "Fetch it on the console of ps1 before" in page
    assert 'id="download-backup"' not in page


def test_fetched_elsewhere_is_said_there_too(console, made, monkeypatch):
    fetch(console, made)
    monkeypatch.setenv(here.VARIABLE, "ps2")

    assert "The backup was fetched at" in console.get(console.dialog).text
