"""`Immediate`: the CA has expired, a year ago; the servers switch first, devices follow."""

from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from agent.mobile import Link
from certificates import installing, links, mobiles_to_enrol, trust
from certificates.actions import authorities, decisions, operations
from certificates.installing import InternalCA
from certificates.models import CertificateAuthority, LinkCertificate, Operation
from certificates.models.server_step import MOST_FAILURES
from certificates.standing import Standing
from devices.models import Device
from tests.certificates import building
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS, Living, new_server
from tests.certificates.engine.importing_stories import bring, pem_of, signed
from tests.certificates.engine.test_mobiles import Phone
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock, here

TWO_YEARS = timedelta(days=730)


class Expired(Living):
    """A zone that was set up two years ago, with a CA for one."""

    def __init__(self):
        then = clock.now() - TWO_YEARS
        self.servers = SERVERS
        ca = InternalCA(common_name="TEST-ZONE", key_type="ec-p256", years=1)
        first = new_server(1)
        self.zone = installing.set_up_zone("TEST-ZONE", first, ca, home=here.home("ps1"), now=then)
        for number in (2, 3):
            self.join(new_server(number), now=then)
        self.alice = building.make_person("alice", "manage_certificates")
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


@pytest.fixture
def acme(tmp_path):
    return ExternalCA(tmp_path / "outside")


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
        "overlap",
    ]


def test_tool_makes_the_switch_on_the_initiating_server_and_then_on_the_others(expired):
    operation = expired.remint()
    expired.run()

    rows = list(operation.servers.select_related("device").order_by("updater_ran_at"))
    assert (rows[0].device.name, len(rows)) == ("ps1", 3)
    for row in rows:
        assert "Its new server certificate is in use now." in row.updater_runs.last().said
        assert row.updater_ran_at < row.activated_at
    first = rows[0].updater_ran_at
    assert all(first < row.staged_at for row in rows[1:])


def test_servers_switch_without_a_tool_that_fails(expired, monkeypatch):
    monkeypatch.setenv("ZCC_UPDATER_FAULTS", "updater-followed:kill")
    operation = expired.remint()
    waited = []
    for _ in range(2 * MOST_FAILURES - 1):  # with its last one the others begin
        operation.servers.update(updater_retry_at=None)
        expired.run()
        waited.append(switched_to(operation))

    assert waited == [[], [], ["ps1"], ["ps1"], SERVERS]
    problems = set(operation.servers.values_list("updater_problem", flat=True))
    assert len(problems) == 3 and all("was killed" in problem for problem in problems)


def test_servers_switch_also_when_a_home_cannot_follow_after_the_tool(expired):
    file = here.home("ps1").path / here.ISSUERS
    file.unlink()
    file.mkdir()
    operation = expired.remint()

    expired.run()

    assert switched_to(operation) == SERVERS


def test_others_do_not_wait_for_an_initiating_server_that_is_down(expired):
    operation = expired.remint()
    expired.run(only=("prepare", "issue", "make_updater_tool"))
    for _ in range(2):
        expired.run(only=("server_step",), turns=1)
        expired.run(only=("issue",))
    expired.fall_silent("ps1")

    expired.run()

    assert switched_to(operation) == ["ps2", "ps3"]


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
    expired.run(only=("prepare", "issue", "make_updater_tool", "server_step"))

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


# What the page says of it


def page(client, expired):
    client.force_login(expired.alice)
    return client.get("/certificates/").text


def test_expired_ca_is_to_be_reminted_now(client, expired):
    text = page(client, expired)

    assert "The Zone CA has expired." in text
    assert "Remint the CA now." in text


def test_dialog_says_immediate_and_asks_for_no_time(client, expired):
    client.force_login(expired.alice)

    text = client.get("/certificates/remint-ca/").text

    assert ">Immediate</b>" in text
    assert "The servers switch as soon as they have their certificates" in text
    assert "Nothing live changes before the activation" not in text
    assert "activation_date" not in text
    assert 'name="policy"' not in text


def test_dialog_begins_it(client, expired):
    client.force_login(expired.alice)
    asked = {"confirmed": "on", "common_name": "TEST-ZONE", "key_type": "ec-p256", "years": "5"}
    asked |= {"password": building.PASSWORD, "idempotency_key": str(uuid4())}

    response = client.post("/certificates/remint-ca/", asked)

    assert (response.status_code, response["Location"]) == (303, "/certificates/")
    assert Operation.objects.get().is_immediate


def test_page_lists_who_must_learn_the_new_ca_until_they_have(client, expired):
    operation = expired.remint()
    expired.run()
    finish(expired)
    before = page(client, expired)
    new_ca = Operation.objects.get(pk=operation.pk).new_ca
    Device.objects.filter(name="ws1").update(trusted_fingerprints=[new_ca.sha256])
    after = page(client, expired)

    assert "Run the Certificate Updater Tool on 1 device." in before
    assert "Devices that must learn the new CA" in before
    assert ">ws1</a>" in before
    assert "Every device knows the new CA." in after
    assert "Devices that must learn the new CA" not in after


def test_page_promises_nothing_of_a_date_that_has_passed(client, expired):
    operation = expired.remint()
    expired.run()
    finish(expired)
    old_ends = Operation.objects.get(pk=operation.pk).old_ca.expires_at

    text = page(client, expired)
    story = client.get(f"/certificates/operations/{operation.pk}/").text

    assert "<dt>Old CA expired</dt>" in text
    assert f"before {old_ends:%-d %b %Y}" not in text
    assert "It does not end by itself." in text
    assert "Was late" not in story


def test_old_ca_is_retired_when_nobody_needs_it_and_the_rescue_port_ends(expired):
    operation = expired.remint()
    expired.run()
    finish(expired)

    operation.refresh_from_db()
    authorities.retire_old_ca(operation, by=expired.alice, now=clock.now())
    expired.run()

    assert len(trust.anchors_in(trust.published(expired.zone))) == 1
    assert here.home("ps1").read_file("previous/rescue.pem") is None


def test_change_to_an_external_ca_is_immediate_too(expired, acme):
    """Each server switches when its certificate has been imported, and not before."""
    operation = changing.to_external(expired, acme)
    expired.run()
    operation.refresh_from_db()
    assert (operation.is_immediate, operation.state) == (True, "activating")

    assert import_for(expired, acme, operation, "ps2") == ["Imported"]
    expired.run()
    assert switched_to(operation) == ["ps2"]

    assert import_for(expired, acme, operation, "ps1", "ps3") == ["Imported", "Imported"]
    expired.run()
    assert switched_to(operation) == SERVERS
    assert expired.ca.sha256 == acme.root.fingerprint(SHA256()).hex()


def import_for(living, acme, operation, *names):
    files = {name: pem_of(signed(acme, name, operation)) for name in names}
    return [word for word, _ in bring(living, operation, files | {"ca.pem": acme.chain})][
        : len(names)
    ]


def switched_to(operation):
    return [name for name in SERVERS if here.home(name).live().operation == str(operation.guid)]


def test_mobiles_come_back_by_the_links_that_are_made_for_all(expired):
    then = clock.now() - TWO_YEARS
    phone = Phone(expired.zone)
    phone.enrol()
    ends = then + timedelta(days=365)
    phone.device.identities.update(valid_from=then, expires_at=ends)
    expired.remint()
    expired.run()
    finish(expired)
    [mobile] = mobiles_to_enrol.to_enrol(expired.zone, now=clock.now())
    assert mobile == phone.device
    # The page sends nobody to it with the Certificate Updater Tool, which is not for mobiles.
    stranded = Standing(expired.zone, now=clock.now()).stranded
    assert [device.name for device in stranded.first] == ["ws1"]

    wanted = {"days": 14, "also_with_link": False, "by": expired.alice, "now": clock.now()}
    [made] = mobiles_to_enrol.make_links(expired.zone, **wanted)
    again = Phone(expired.zone, secret=Link.read(made.link).secret)
    assert again.enrol().status == 200
    again.sync("pending", "completed", anchors=[expired.ca])

    assert (again.device, again.issuer, again.status) == (mobile, expired.ca, "completed")
    assert not mobiles_to_enrol.to_enrol(expired.zone, now=clock.now()).exists()
    assert expired.ca.sha256 in Link.read(made.link).fingerprints
