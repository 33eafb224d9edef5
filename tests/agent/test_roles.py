"""Satellite roles from the console: the agent takes them up and begins anew."""

import hashlib
import io

import pytest

from agent import roles
from agent.loop import Bell, Loop
from agent.state import Identity

NO_ROLE, BOTH = [], ["content", "authentication"]


def saved_roles(device):
    return Identity.load(device.home).roles


def test_given_role_is_kept_and_the_loop_ends_to_begin_anew(make_device, server):
    device, _ = make_device(roles=NO_ROLE)
    server.extra = {"roles": ["content"], "content": []}

    Loop(device, Bell()).run()  # returns: nobody stops it

    assert saved_roles(device) == ["content"]
    assert device.begins_anew


def test_role_that_is_taken_back_takes_its_content_along(make_device, server):
    device, _ = make_device(roles=["content"])
    content = b"an update"
    device.home.add_content(hashlib.sha256(content).hexdigest(), io.BytesIO(content))
    server.extra = {"roles": NO_ROLE}

    Loop(device, Bell()).turn()

    assert saved_roles(device) == NO_ROLE
    assert device.home.content_items() == []


def test_role_that_is_taken_back_takes_its_keys_along(make_device, server, install, stage, zone):
    device, _ = make_device(roles=BOTH)
    install(device.home)
    stage(device.home)
    device.home.current_key(lambda: b"a key that is asked for")
    trusted = device.home.read_file("trust.pem")
    server.extra = {"roles": ["content"], "content": []}

    Loop(device, Bell()).turn()

    left = {path.name for path in device.home.path.rglob("*") if path.is_file()}
    assert saved_roles(device) == ["content"]
    assert not left & {"server.key", "server.pem", "server.cer", "key.der", "canary.pem"}
    assert "requested.der" not in left
    assert device.home.read_file("trust.pem") == trusted
    assert device.home.live() is None


@pytest.mark.parametrize("given", [None, "content", ["content"]])
def test_what_says_nothing_new_changes_nothing(make_device, server, given):
    device, _ = make_device(roles=["content"])
    server.extra = {} if given is None else {"roles": given}

    Loop(device, Bell()).turn()

    assert saved_roles(device) == ["content"]
    assert not device.begins_anew


def test_roles_are_reported(make_device, server):
    device, _ = make_device(roles=["content"])

    Loop(device, Bell()).turn()

    assert server.requests[-1]["roles"] == ["content"]
    assert server.requests[-1]["role_problem"] == ""


def test_role_that_cannot_be_taken_up_is_said_and_the_others_are():
    given = ["authentication", "content", "coffee"]

    assert roles.take_up(given, authentication=False) == (["content"], roles.NEEDS_CRYPTOGRAPHY)
    assert roles.take_up(["content"], authentication=False) == (["content"], "")
    assert roles.take_up(BOTH, authentication=True) == (BOTH, "")
