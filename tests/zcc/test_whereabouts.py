"""A Primary Server whose host gets another address or name: where it listens, what it knows."""

import platform
from dataclasses import replace

import pytest

from agent import whereabouts as of_the_host
from tests.agent.test_whereabouts import ELSEWHERE
from zcc.ground import here, whereabouts
from zcc.processes.server import Moving
from zcc.processes.tree import Tree

PS1 = here.Identity(name="ps1", guid="guid", dns_name="ps1.test.zone", address="127.0.0.81")


@pytest.fixture
def moved(monkeypatch):
    """The host has 127.0.0.2 today."""
    monkeypatch.setattr(of_the_host, "own_address", lambda server: "127.0.0.2")


@pytest.mark.parametrize(
    ("known", "listens"),
    [(ELSEWHERE, "127.0.0.2"), ("127.0.0.81", "127.0.0.81"), ("::1", "::1")],
    ids=["no longer the host's", "of the demo zone", "IPv6"],
)
def test_server_listens_at_its_address_while_the_host_has_it(moved, known, listens):
    assert whereabouts.address(replace(PS1, address=known)) == listens


def test_without_a_network_the_address_stays(monkeypatch):
    monkeypatch.setattr(of_the_host, "own_address", lambda server: of_the_host.UNKNOWN)

    assert whereabouts.address(replace(PS1, address=ELSEWHERE)) == ELSEWHERE


@pytest.mark.parametrize(
    ("known", "later"),
    [("old.test.zone", "new.test.zone"), ("console.test.zone", "console.test.zone")],
    ids=["the host's own name", "a name that it was given"],
)
def test_dns_name_follows_the_host_if_it_was_the_hosts_own(
    monkeypatch, settings, tmp_path, known, later
):
    settings.ZCC_HOME = tmp_path
    (tmp_path / "servers" / "ps1").mkdir(parents=True)
    monkeypatch.setattr(platform, "node", lambda: "OLD.test.zone")
    whereabouts.keep_up(PS1, address="127.0.0.82", dns_name=known)

    identity = here.identity("ps1")
    monkeypatch.setattr(platform, "node", lambda: "New.test.zone")

    assert (identity.address, identity.dns_name) == ("127.0.0.82", known)
    assert whereabouts.dns_name(identity) == later


def test_processes_begin_anew_where_the_host_is(moved):
    moving = Moving(Tree())
    moving.follow(PS1)
    first = moving.tree.children

    moving.follow(PS1)
    assert moving.tree.children is first

    moving.follow(replace(PS1, address=ELSEWHERE))
    assert {child.run.args[1].address for child in moving.tree.children} == {"127.0.0.2"}
