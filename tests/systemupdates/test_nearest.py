"""Which content server a device asks first."""

import pytest

from devices.models import Kind
from systemupdates import nearest


@pytest.fixture
def make_server(make_device):
    def make(name, *addresses, primary=False):
        kind = Kind.PRIMARY_SERVER if primary else Kind.SERVER
        return make_device(name, kind=kind, addresses=list(addresses))

    return make


def names(servers, device):
    return [server.name for server in nearest.in_order(servers, device=device)]


def test_subnet_comes_before_site_and_site_before_the_rest(make_device, make_server):
    servers = [
        make_server("far", "10.7.0.1"),
        make_server("site", "10.1.9.1"),
        make_server("subnet", "10.1.2.9", primary=True),
    ]

    assert names(servers, make_device("ws", addresses=["10.1.2.3"])) == ["subnet", "site", "far"]


def test_satellites_come_before_primary_servers_as_near(make_device, make_server):
    servers = [make_server("ps", "10.1.2.8", primary=True), make_server("cache", "10.1.2.9")]

    assert names(servers, make_device("ws", addresses=["10.1.2.3"])) == ["cache", "ps"]


@pytest.mark.parametrize(
    "addresses", [[], ["not an address"], ["2001:db8::1"]], ids=["none", "a name", "other family"]
)
def test_who_is_near_to_none_asks_satellites_first(make_device, make_server, addresses):
    servers = [make_server("ps", "10.1.2.8", primary=True), make_server("cache", "10.7.2.9")]

    assert names(servers, make_device("ws", addresses=addresses)) == ["cache", "ps"]


def test_any_address_of_the_two_counts(make_device, make_server):
    servers = [make_server("far", "10.7.0.1"), make_server("near", "10.8.0.1", "2001:db8:1:2::9")]
    device = make_device("ws", addresses=["10.1.2.3", "2001:db8:1:2::1"])

    assert names(servers, device) == ["near", "far"]


def test_equals_share_the_load_and_each_device_keeps_its_order(make_device, make_server):
    servers = [make_server("cache1", "10.1.2.8"), make_server("cache2", "10.1.2.9")]
    devices = [make_device(f"ws{number}") for number in range(40)]

    first = [names(servers, device)[0] for device in devices]

    assert set(first) == {"cache1", "cache2"}
    assert first == [names(servers[::-1], device)[0] for device in devices]
