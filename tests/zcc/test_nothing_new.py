"""Refreshes with nothing new: answered as the others would be, until anything at all is new."""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from certificates import trust
from certificates.actions import roles
from certificates.models import CertificateAuthority, PublishedTrust
from devices import actions as devices
from devices import folders, retirement, schedules
from devices.models import Device, Folder, RegistrationKey, Zone
from systemupdates.models import DeviceUpdate
from tests.zcc.test_device_api import api, assigned_update
from zcc import device_api, nothing_new
from zcc.ground import clock

__all__ = ["api"]

pytestmark = pytest.mark.django_db(transaction=True)


class Quiet:
    """A workstation to whom nothing is new, and what it is answered."""

    def __init__(self, api, name="ws1"):
        self.api, self.zone = api, api.zone
        self.device, self.token = api.join(name=name), api.token
        published = trust.published(api.zone)
        self.report = {
            "version": "1.0.0",
            "addresses": ["10.0.0.1"],
            "clock": trust.instant(clock.now()),
            "trust": sorted(trust.anchors_in(published)),
            "epoch": published.epoch,
            "steps": [],
            "proof": None,
            "roles": [],
            "role_problem": "",
            "refusal": None,
            "peer": "ab" * 32,
        }
        self.slow()

    @property
    def rows(self):
        return Device.objects.filter(pk=self.device.pk)

    @property
    def scope(self):
        return {"headers": [(b"authorization", b"Bearer " + self.token.encode())]}

    def body(self, **changes):
        return json.dumps(self.report | changes).encode()

    def slow(self, **changes):
        """Return what a device is answered by itself."""
        return device_api.refresh(self.scope, self.body(**changes))[1]

    def quick(self, **changes):
        """Return what it is answered in a lot, None if it is not."""
        return answers([nothing_new.read(self.scope, self.body(**changes))])[0]


def answers(calls):
    return [found and json.loads(found) for found in nothing_new.answered(calls).answers]


def timeless(answer):
    return {key: value for key, value in answer.items() if key != "time"}


@pytest.fixture
def quiet(api):
    return Quiet(api)


def test_answer_is_the_one_that_a_device_gets_by_itself(quiet):
    assert timeless(quiet.quick()) == timeless(quiet.slow())


def retired(quiet):
    retirement.retire(quiet.device, by=None, now=clock.now())


def enrolled_again(quiet):
    RegistrationKey.objects.update(replaces=quiet.device)
    quiet.api.join(name="ws1")


def deleted(quiet):
    quiet.rows.delete()


def new_manifest(quiet):
    last = trust.published(quiet.zone)
    last.pk, last.epoch = None, last.epoch + 1
    last.save()


def assigned(quiet):
    assigned_update(quiet.api)


def update_is_pending(quiet):
    assigned_update(quiet.api).open_wave(2)
    rows = DeviceUpdate.objects.filter(device=quiet.device)
    rows.move(to="pending", by=None, at=clock.now())


def role(quiet):
    roles.set_roles(quiet.device, content=True, authentication=False, by=None, now=clock.now())


def test_device(quiet):
    devices.set_test_device(quiet.device, is_test=True, by=None, now=clock.now())


test_device.__test__ = False


def nobody_active(quiet):
    CertificateAuthority.objects.filter(state="active").update(state="superseded")


def unpublished(quiet):
    PublishedTrust.objects.all().delete()


CHANGES = [
    retired, enrolled_again, deleted, new_manifest, assigned, update_is_pending, role, test_device,
    nobody_active, unpublished,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_is_new_is_not_answered_so(quiet, change):
    assert quiet.quick() is not None

    change(quiet)

    assert quiet.quick() is None


NEWS = [
    {"version": "1.0.1"},
    {"addresses": ["10.0.0.2"]},
    {"trust": []},
    {"epoch": 0},
    {"roles": ["content"]},
    {"roles": None},
    {"role_problem": "There is no room."},
    {"refusal": {"reason": "It lied.", "at": None}},
    {"steps": [{"update": "x", "state": "failed"}]},
    {"steps": 1},
    {"proof": "x"},
]


@pytest.mark.parametrize("news", NEWS, ids=str)
def test_device_that_brings_news_is_not_answered_so(quiet, news):
    assert quiet.quick(**news) is None


def own_schedule(quiet):
    quiet.rows.update(refresh_interval=timedelta(hours=3))


def zone_schedule(quiet):
    Zone.objects.update(refresh_interval=timedelta(hours=4))


def folder_schedule(quiet):
    now = clock.now()
    folders.ensure(quiet.zone, "/Workstations/Oslo", by=None, now=now)
    oslo = Folder.objects.get(path="/Workstations/Oslo")
    schedules.set_for_folder(oslo, timedelta(hours=2), tell=False, by=None, now=now)
    folders.move([quiet.device], oslo, by=None, now=now)


def another_server(quiet):
    Device.objects.create(
        zone=quiet.zone, name="ps0", kind="primary", addresses=["::1"], enrolled_at=clock.now()
    )


def another_address(quiet):
    Device.objects.filter(name="ps1").update(addresses=["127.99.0.9"])


@pytest.mark.parametrize(
    "change", [own_schedule, zone_schedule, folder_schedule, another_server, another_address]
)
def test_what_everybody_is_told_is_what_holds_now(quiet, change):
    before = quiet.quick()

    change(quiet)

    assert timeless(quiet.quick()) == timeless(quiet.slow()) != timeless(before)


def test_proof_is_news_until_it_is_noted(quiet):
    update = assigned_update(quiet.api)
    rows = DeviceUpdate.objects.filter(device=quiet.device)
    rows.move(to="completed", by=None, at=clock.now())
    proof = {"update": str(update.guid), "leaf": "AB" * 32, "problem": "", "refused": False}
    assert quiet.quick(proof=proof) is None

    quiet.slow(proof=proof)

    assert quiet.quick(proof=proof) is not None
    assert quiet.quick(proof=proof | {"leaf": "cd" * 32}) is None
    assert quiet.quick(proof=proof | {"problem": "It did not answer."}) is None


def test_device_that_was_asked_to_refresh_has_done_so(quiet):
    devices.ask_refresh(quiet.rows, now=clock.now())

    assert quiet.quick() is not None
    assert quiet.rows.get().refresh_asked_at is None


def test_refresh_that_was_asked_for_is_a_contact_at_once(quiet):
    call = nothing_new.read(quiet.scope, quiet.body())
    quiet.rows.update(last_contact_at=clock.now(), last_full_refresh_at=clock.now())
    assert nothing_new.answered([call]).contacts == []

    devices.ask_refresh(quiet.rows, now=clock.now())

    (noted,) = nothing_new.answered([call]).contacts
    assert noted.device == quiet.device.pk
    assert nothing_new.answered([call]).contacts == []


def test_second_refresh_of_a_device_in_a_lot_is_looked_at_by_itself(quiet):
    reports = [quiet.body(), quiet.body(version="2.0.0")]

    first, second = answers([nothing_new.read(quiet.scope, body) for body in reports])

    assert (first is not None, second) == (True, None)


def test_lot_of_many_costs_the_queries_of_one(api, django_assert_num_queries):
    fleet = [Quiet(api, f"ws{number}") for number in range(20)]
    assigned_update(api)
    DeviceUpdate.objects.all().move(to="completed", by=None, at=clock.now())
    calls = [nothing_new.read(one.scope, one.body()) for one in fleet]
    answers(calls[:1])  # the manifest is read once
    with CaptureQueriesContext(connection) as captured:
        assert None not in answers(calls[:1])

    with django_assert_num_queries(len(captured)):
        assert None not in answers(calls)


def tables(act):
    """Return the tables that are read or written meanwhile."""
    with CaptureQueriesContext(connection) as captured:
        act()
    words = re.compile(r'(?:FROM|JOIN|UPDATE|INTO) "(\w+)"')
    return {table for query in captured for table in words.findall(query["sql"])}


def test_it_reads_all_that_the_answer_to_one_device_is_made_of(quiet):
    """Whoever lets a refresh depend on something else must let `nothing_new` look at it, too."""
    assert tables(quiet.slow) == tables(quiet.quick)


BEARER = (b"authorization", b"Bearer x")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"{}"),
        ([BEARER, BEARER], b"{}"),
        ([(b"authorization", b"Basic x")], b"{}"),
        ([BEARER], b""),
        ([BEARER], b"[]"),
        ([BEARER], b"[" * 4000),
        ([BEARER], b'{"version": "%s"}' % (b"1" * nothing_new.LONGEST)),
        ([BEARER], b'{"rehearsal": {}}'),
    ],
)
def test_odd_request_is_looked_at_by_itself(headers, body):
    assert nothing_new.read({"headers": headers}, body) is None


@pytest.mark.parametrize("odd", [None, -1, 2**70, "", "\0", "\ud800", [], {}, True, [[{}]]])
@pytest.mark.parametrize("field", ["version", "addresses", "clock", "trust", "epoch", "proof"])
def test_odd_report_is_answered_in_the_end(quiet, field, odd):
    status, answer = quiet.api.refresh(token=quiet.token, **quiet.report | {field: odd})

    assert (status, answer["next_refresh"]) == (200, 12 * 3600)
