"""A zone of three servers, a CA, two people, and operations in any state."""

from datetime import timedelta

import pytest

from certificates.models import CertificateAuthority
from tests.certificates import building
from tests.certificates.changing_ca import (
    acme,
    activate_at,
    csr,
    dialog,
    internal,
    last,
    to_external,
    when,
)
from tests.certificates.external_operation import External
from zcc.ground import clock

__all__ = ["acme", "activate_at", "csr", "dialog", "internal", "last", "to_external", "when"]


@pytest.fixture
def now():
    return clock.now()


@pytest.fixture
def zone(db, now):
    return building.make_zone(now)


@pytest.fixture
def servers(zone, now):
    ps1 = building.make_device(zone, "ps1", now)
    ps2 = building.make_device(zone, "ps2", now)
    auth1 = building.make_device(
        zone, "auth1", now, kind="server", is_authentication_satellite=True
    )
    return [ps1, ps2, auth1]


@pytest.fixture
def ca(zone, servers, now):
    """The active internal CA on ps1; every server has a certificate of it."""
    authority = building.make_authority(zone, servers[0], now)
    for server in servers:
        building.make_certificate(server, authority, now)
    return CertificateAuthority.objects.select_related("zone", "server").get(pk=authority.pk)


@pytest.fixture
def alice(db):
    """An administrator who may manage certificates."""
    return building.make_person("alice", "manage_certificates", full_name="Alice Berg")


@pytest.fixture
def bob(db):
    """May only look."""
    return building.make_person("bob")


STAGES = {
    "preparing": [],
    "replicating": ["prepare"],
    "assigned": ["prepare", "assign"],
    "armed": ["prepare", "assign", "arm"],
    "activating": ["prepare", "assign", "arm", "activate"],
    "overlap": ["prepare", "assign", "arm", "overlap"],
}


@pytest.fixture
def make_operation(ca, alice, now):
    """Make an operation that has come as far as `state`."""

    def make(state="preparing", *, activate_at=None, at=None):
        at = at or now - timedelta(hours=1)
        operation = building.make_operation(ca, by=alice, now=at, activate_at=activate_at)
        for stage in STAGES[state]:
            getattr(building, stage)(operation, at)
        return operation

    return make


@pytest.fixture
def make_external(ca, alice, now):
    """Begin a change to an external CA; every server has made its request."""
    return lambda **columns: External(ca, alice, now, **columns)


@pytest.fixture
def external(make_external):
    return make_external()
