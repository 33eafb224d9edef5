"""No answer of the console holds a key or a passphrase: every page, dialog and download is read."""

import os
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from certificates import keys
from certificates.models import KeyRequest
from pki import keys as pki_keys
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.keeping import PASSPHRASE, server
from tests.journeys import secrets
from zcc.ground import here

WRONG = "not the passphrase"
LINK = re.compile(r'(?:href|hx-get|src)="(/[^"#]*)"')


class Reader(Client):
    """A browser that keeps every answer, headers too, by what was asked."""

    answers: dict
    linked: set

    def request(self, **request):
        answer = super().request(**request)
        if answer.streaming:
            body = b"".join(answer.streaming_content)
            answer.streaming_content = [body]  # to be read once more
        else:
            body = answer.content
        asked = f"{request['REQUEST_METHOD']} {request['PATH_INFO']}"
        self.answers.setdefault(asked, []).append(str(answer.headers).encode() + body)
        self.linked.update(LINK.findall(body.decode(errors="replace")))
        return answer

    def follow_links(self):
        """Get everything that any page so far links to."""
        seen = set()
        while links := self.linked - seen:
            seen |= links
            for link in sorted(links):
                if not link.startswith("/static/"):
                    self.get(link.replace("&amp;", "&"))


@pytest.fixture
def reader(living):
    found = Reader()
    found.answers, found.linked = {}, set()
    found.force_login(building.make_person("carol", "manage_certificates", "back_up_ca"))
    return found


def press(reader, living, stem, **data):
    answer = reader.post(reverse(f"certificates:{stem}"), data)
    living.run()
    os.environ[here.VARIABLE] = "ps1"  # whose console it is
    if answer.status_code == 303:
        reader.get(answer["Location"])
    return answer


def upload(file):
    return {"backup_file": SimpleUploadedFile("backup.zip", file)}


def press_every_button_about_keys(reader, living):
    """Backup, Verify, Move and Restore, with right and wrong passphrases and passwords."""
    new = {"passphrase": PASSPHRASE, "confirm": PASSPHRASE}
    to = {name: server(name).pk for name in SERVERS}
    press(reader, living, "backup_ca", **new, password=WRONG)
    press(reader, living, "backup_ca", **(new | {"confirm": WRONG}), password=PASSWORD)
    press(reader, living, "backup_ca", **new, password=PASSWORD)
    made = KeyRequest.objects.latest("pk")
    file = reader.get(reverse("certificates:download_backup", args=[made.guid])).getvalue()
    for words in (PASSPHRASE, WRONG):
        press(reader, living, "verify_backup", **upload(file), passphrase=words)
    press(reader, living, "move_ca_role", server=to["ps2"], password=PASSWORD)
    for words in (WRONG, PASSPHRASE):
        press(reader, living, "restore_ca", **upload(file), server=to["ps3"], passphrase=words,
              password=PASSWORD)  # fmt: skip
    assert [row.state for row in KeyRequest.objects.order_by("pk")] == [
        *("done", "done", "refused", "done", "refused", "done")
    ]


def needles(living):
    """Every secret of the zone by its name, as the forms in which it might be written."""
    found = {"passphrase": [PASSPHRASE.encode(), WRONG.encode()], "password": [PASSWORD.encode()]}
    for name in SERVERS:
        home = here.home(name)
        for path in (home.path / "secrets").iterdir():
            found[f"{name} {path.name}"] = [path.read_bytes()]
        found[f"{name} key"] = secrets.numbers(pki_keys.load(home.read_file("security/server.key")))
    ring = keys.ring(here.home("ps3"), living.zone)
    found["update key"] = secrets.numbers(ring.update_key)
    for guid, key in ring.authorities.items():
        found[str(guid)] = secrets.numbers(key)
    return {name: [f for one in many for f in secrets.forms(one)] for name, many in found.items()}


def test_no_answer_holds_a_key_or_a_passphrase(reader, living):
    press_every_button_about_keys(reader, living)
    living.reach("replicating")
    os.environ[here.VARIABLE] = "ps1"

    reader.get("/")
    reader.follow_links()

    assert len(reader.answers) > 60
    everything = b"\n".join(body for bodies in reader.answers.values() for body in bodies)
    shown = living.ca.sha256.upper()
    assert ":".join(re.findall("..", shown)).encode() in everything  # it does find what is there
    found = {name for name, forms in needles(living).items() if any(f in everything for f in forms)}
    assert found == set()
