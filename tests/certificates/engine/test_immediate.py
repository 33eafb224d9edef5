"""`Immediate`: the CA has expired, a year ago; the servers switch first, devices follow."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from certificates import installing, links, trust
from certificates.actions import authorities, decisions, operations
from certificates.installing import InternalCA
from certificates.models import CertificateAuthority, LinkCertificate, Operation
from devices.models import Device
from tests.certificates.engine.conftest import SERVERS, Living, new_server
from zcc.ground import clock, here

TWO_YEARS = timedelta(days=730)


class Expired(Living):
    """A zone that was set up two years ago, with a CA for one."""

    def __init__(self):
        then = clock.now() - TWO_YEARS
        ca = InternalCA(common_name="TEST-ZONE", key_type="ec-p256", years=1)
        first = new_server(1)
        self.zone = installing.set_up_zone("TEST-ZONE", first, ca, home=here.home("ps1"), now=then)
        for number in (2, 3):
            self.join(new_server(number), now=then)
        self.alice = User.objects.create_user("alice")
        for name in SERVERS:
            self.beat(name)
        self.add_workstation("ws1")
        self.run()

    def remint(self, **changes):
        return authorities.remint(self.ca, self.wishes(**changes), by=self.alice, now=clock.now())


@pytest.fixture
def expired(db, settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path
    settings.SECRET_KEY_FILE = tmp_path / "secrets/secret_key"
    monkeypatch.setenv(here.VARIABLE, "ps1")
    return Expired()


def states(operation):
    return list(operation.events.values_list("state", flat=True))


def finish(living):
    """Let the content be replicated at the next round, and everything after it happen."""
    living.replicate_now()
    living.run()


def test_servers_switch_at_once_and_the_update_follows(expired):
    operation = expired.remint()
    expired.run()
    switched = [here.home(name).live().operation for name in SERVERS]
    finish(expired)

    assert switched == [str(operation.guid)] * 3
    assert states(operation) == [
        "preparing",
        "activating",
        "replicating",
        "assigned",
        "completed",
    ]


def test_new_ca_is_active_and_no_link_is_made_by_a_dead_one(expired):
    operation = expired.remint()
    expired.run()

    new_ca = Operation.objects.get(pk=operation.pk).new_ca
    assert (expired.ca, expired.ca.is_expired(clock.now())) == (new_ca, False)
    assert not LinkCertificate.objects.exists()
    assert links.for_leaf_of(new_ca) is None


def test_devices_are_told_of_both_and_the_rescue_port_shows_the_old_chain(expired):
    operation = expired.remint()
    expired.run()
    finish(expired)

    told = trust.anchors_in(trust.published(expired.zone))
    authorities_known = CertificateAuthority.objects.order_by("generation")
    assert told == [ca.sha256 for ca in authorities_known]
    assert trust.update_in(trust.published(expired.zone))["operation"] == str(operation.guid)
    for name in SERVERS:
        assert here.home(name).read_file("previous/rescue.pem") is not None


def test_primary_servers_have_completed_the_update_and_devices_have_it(expired):
    operation = expired.remint()
    expired.run()
    finish(expired)

    rows = Operation.objects.get(pk=operation.pk).update.device_updates
    found = dict(rows.values_list("device__name", "state"))
    assert found == {"ps1": "completed", "ps2": "completed", "ps3": "completed", "ws1": "assigned"}


def test_server_that_was_down_switches_when_it_is_back(expired):
    expired.fall_silent("ps3")
    operation = expired.remint()
    expired.run()
    finish(expired)
    before = here.home("ps3").live().operation

    expired.beat("ps3")
    expired.run()

    assert (before, here.home("ps3").live().operation) == (None, str(operation.guid))


def test_servers_do_not_wait_for_content(expired):
    """Their own certificates come from the database, whatever the content servers do."""
    expired.remint()
    expired.run(only=("prepare", "issue", "server_step"))

    assert all(here.home(name).live().operation for name in SERVERS)


def test_there_is_no_time_to_choose_and_no_silent_satellite_to_wait_for(expired):
    Device.objects.filter(name="ws1").update(is_content_satellite=True, version="1.0.0")

    operation = expired.remint(activate_at=clock.now() + timedelta(days=30), policy="strict")

    assert operation.is_immediate
    assert operation.activate_at <= clock.now()
    assert operation.policy == "overlap"


def test_it_can_be_cancelled_until_it_is_prepared(expired):
    operation = expired.remint()

    operations.cancel(operation, by=expired.alice, now=clock.now())
    expired.run()

    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert expired.ca.generation == 1


def test_it_can_neither_be_cancelled_nor_rolled_back_afterwards(expired):
    operation = expired.remint()
    expired.run()
    operation.refresh_from_db()

    with pytest.raises(operations.NotPossibleNow, match="new CA is active"):
        operations.cancel(operation, by=expired.alice, now=clock.now())
    with pytest.raises(decisions.NotPossibleNow, match="The old CA has expired"):
        decisions.roll_back(operation, reason="x", by=expired.alice, now=clock.now())


def test_another_operation_can_follow(expired):
    expired.remint()
    expired.run()
    finish(expired)
    Device.objects.exclude(kind="primary").update(trusted_fingerprints=sorted([expired.ca.sha256]))

    following = expired.remint(activate_at=clock.now() + timedelta(hours=2))

    assert not following.is_immediate
    expired.run()
    following.refresh_from_db()
    assert following.state == "replicating"
