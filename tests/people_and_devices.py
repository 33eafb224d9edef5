"""Fixtures for tests of pages: people who look and who may change, a zone, devices, an update."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User

from devices.models import Device, Kind, Zone
from systemupdates import actions
from systemupdates.models import SystemUpdate

PASSWORD = "a password for tests"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def zone(db: None, now: datetime) -> Zone:
    return Zone.objects.create(name="TEST-ZONE", created_at=now)


@pytest.fixture
def alice(db: None) -> User:
    """An administrator with every right of the console."""
    alice = User.objects.create_user("alice", password=PASSWORD, first_name="Alice")
    alice.user_permissions.set(Permission.objects.filter(content_type__app_label="ground"))
    return alice


@pytest.fixture
def bob(db: None) -> User:
    """May look, and nothing else."""
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def make_device(zone: Zone, now: datetime) -> Callable[..., Device]:
    def make(name: str, **fields: object) -> Device:
        known = {
            "kind": Kind.WORKSTATION,
            "dns_name": f"{name}.test.zone",
            "addresses": ["10.1.2.3"],
            "version": "1.0.0",
            "enrolled_at": now - timedelta(days=30),
            "last_contact_at": now - timedelta(minutes=5),
        }
        return Device.objects.create(zone=zone, name=name, **(known | fields))

    return make


@pytest.fixture
def make_update(
    zone: Zone, now: datetime, make_device: Callable[..., Device], alice: User
) -> Callable[..., SystemUpdate]:
    """Make an update that replicates; `assigned=True`: that all devices have."""

    def make(*, assigned: bool = False) -> SystemUpdate:
        server = Device.objects.filter(name="ps1").first() or make_device(
            "ps1", kind=Kind.PRIMARY_SERVER
        )
        update = actions.create_update(
            zone, name="Certificate update", initiating_server=server, by=alice, now=now
        )
        actions.start_replication(update, sha256="c" * 64, size=14_000, now=now)
        if assigned:
            actions.assign(update, by=alice, now=now)
        return update

    return make
