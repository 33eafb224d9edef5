"""What tests of the dialog `Change CA` send, and an external CA to change to."""

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from certificates.models import ChangeCADraft
from tests.certificates.building import PASSWORD
from tests.certificates.external_ca import ExternalCA

URL = "/certificates/change-ca/"


@pytest.fixture
def activate_at(now):
    return (now + timedelta(days=1)).replace(second=0, microsecond=0)


@pytest.fixture
def when(activate_at):
    local = timezone.localtime(activate_at)
    return {"activation_date": f"{local:%Y-%m-%d}", "activation_time": f"{local:%H:%M}"}


@pytest.fixture(scope="session")
def acme(tmp_path_factory):
    return ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")


@pytest.fixture
def internal(servers):
    return {
        "step": "authority",
        "confirmed": "on",
        "change_to": "internal",
        "server": str(servers[1].pk),
        "common_name": "DEMO-ZONE",
        "key_type": "ec-p384",
        "years": "5",
        "include_additional_dns_names": "on",
    }


def upload(data, name="chain.pem"):
    return SimpleUploadedFile(name, data)


@pytest.fixture
def to_external(internal, acme):
    return internal | {"change_to": "external", "root": upload(acme.chain)}


@pytest.fixture
def csr():
    return {
        "step": "csr",
        "csr_mode": "automatic",
        "organization": "Acme AS",
        "organization_unit": "PKI",
        "locality": "Oslo",
        "state": "Oslo",
        "country": "no",
        "key_type": "rsa-2048",
        "include_additional_dns_names": "on",
    }


@pytest.fixture
def last(when):
    return {
        "step": "activation",
        "policy": "overlap",
        "without_certificate": "hold",
        "password": PASSWORD,
    } | when


@pytest.fixture
def dialog(client, alice, ca):
    """Alice in the dialog: it is sent a step, and the draft with it."""
    client.force_login(alice)

    def send(step, **changes):
        draft = ChangeCADraft.objects.filter(by=alice).last()
        known = {"draft": str(draft.guid)} if draft else {}
        return client.post(URL, known | step | changes)

    return send


def current_step(response):
    assert response.status_code == 200, response.text
    return re.search(r'name="step" value="(\w+)"', response.text)[1]
