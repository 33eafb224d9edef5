"""A server whose console can say where to enrol, and what an enrolment link says."""

import re

import pytest

from agent import pem
from tests.zcc.certificates import make_pair
from zcc.ground import here


@pytest.fixture
def server(settings, tmp_path, monkeypatch, zone):
    """A home to read the address and the CA from; return the CA's fingerprint."""
    settings.ZCC_HOME = tmp_path
    monkeypatch.setenv(here.VARIABLE, "ps1")
    here.home().make()
    identity = here.Identity(name="ps1", guid="1", dns_name="ps1.test.zone", address="127.0.0.1")
    here.write_identity(identity)
    _, ca = make_pair(1)
    here.home().set_anchors([ca])
    return pem.fingerprint(ca)


def parts(text):
    """Return server, secret and fingerprints of the link in a page."""
    found = re.search(r"(https://[^/<\s]+)/\.well-known/est#([\w-]+)\.([0-9a-f.]+)", text)
    return found[1], found[2], found[3].split(".")
