"""An old CA that has expired still tells a device who its zone is; it decides nothing else."""

import pytest

from agent import client, trust
from agent.client import Untrusted
from tests.agent.test_device import trusted, turns
from tests.agent.test_proof import activated, listening, rescue_from, server_home

__all__ = ["server_home"]


@pytest.fixture
def asleep(make_device, zone):
    """A device that slept until the CA it trusts had expired, and what it logs."""
    device, lines = make_device()
    device.home.write_file(trust.FILE, zone.old.expired().pem)
    return device, lines


def test_device_whose_ca_has_expired_is_rescued(
    asleep, server, server_home, stage, zone, monkeypatch
):
    device, lines = asleep
    activated(server, server_home, stage, zone)
    with listening(server_home) as ports:
        rescue_from(server, monkeypatch, ports["rescue"])
        turns(device, 2)

    assert trusted(device) == {zone.new.sha256}
    assert any(line.startswith("Rescued: ") for line in lines)


def test_rescue_port_of_a_stranger_is_not_believed(
    asleep, server, server_home, stage, zone, monkeypatch
):
    device, lines = asleep
    activated(server, server_home, stage, zone)
    device.home.write_file(trust.FILE, type(zone)().old.expired().pem)
    with listening(server_home) as ports:
        rescue_from(server, monkeypatch, ports["rescue"])
        turns(device, 2)

    assert not any(line.startswith("Rescued") for line in lines)


def test_dates_count_everywhere_else(server, zone):
    expired = zone.old.expired().pem

    with pytest.raises(Untrusted, match="expired"):
        client.probe([server.url], expired)
    assert client.server_time(server.url, expired) is not None
