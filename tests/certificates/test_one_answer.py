"""Home and Certificates give the same three answers, whatever is wrong in the zone."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.models import CertificateAuthority
from devices.models import Device, Heartbeat
from systemupdates.models import DeviceUpdate
from tests.certificates import building

SAID = re.compile(r'<dl class="z-sit".*?</dl>', re.DOTALL)
SAY = re.compile(r'<dd class="z-sit-(?:say|more)">(.*?)</dd>', re.DOTALL)


@pytest.fixture
def answers(client, alice):
    """What both pages say, which must be the same: the sentences without their links."""
    client.force_login(alice)

    def read(path):
        found = SAY.findall(SAID.search(client.get(path).text)[0])
        return [re.sub(r"<.*?>", "", text) for text in found]

    def look():
        home = read("/")
        assert home == read(reverse("certificates:index"))
        return home

    return look


@pytest.fixture
def backed_up(ca, alice, now):
    building.note_backup(ca, by=alice, at=now)


def make_silent(now, *names):
    for name in names:
        Device.objects.filter(name=name).update(last_contact_at=now - timedelta(hours=50))


def test_silent_servers_are_in_both(backed_up, answers, servers, now):
    make_silent(now, "ps2")
    one = answers()
    make_silent(now, "ps2", "auth1")
    two = answers()

    assert one[0] == "All certificates are in force, but a server is silent."
    assert one[1] == "ps2"
    assert "ps2 has not reported for 2 days." in one
    assert two[0] == "All certificates are in force, but 2 servers are silent."
    assert "1 more thing needs attention." in two


def test_wrong_clock_is_in_both(backed_up, answers):
    Heartbeat.objects.filter(server__name="ps2").update(skew=timedelta(seconds=-11))

    assert "The clock of ps2 is 11 s slow." in answers()


def test_failed_device_is_in_both(make_operation, answers, now):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(update=operation.update)
    rows.move(to="failed", by=None, at=now)

    assert answers()[-2:] == ["Look at 3 devices at risk.", "The update failed."]


def test_silent_server_after_the_activation_is_in_both(make_operation, answers, alice, now):
    operation = make_operation("overlap")
    building.note_backup(operation.new_ca, by=alice, at=now)
    make_silent(now, "ps2")

    assert answers()[0] == "The new CA is in force, but a server is silent."


def test_ca_that_is_being_replaced_need_not_be_replaced(make_operation, answers, now):
    operation = make_operation("replicating")
    soon = now + timedelta(days=40)
    CertificateAuthority.objects.filter(pk=operation.old_ca_id).update(expires_at=soon)

    said = answers()

    assert "Nothing. It goes on by itself." in said
    assert "expire" not in " ".join(said)


def test_nothing_wrong_is_nothing_to_do_on_both(backed_up, answers):
    assert "Nothing today." in answers()
