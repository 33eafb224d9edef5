"""`Make links`: a re-enrolment link for every mobile that cannot come back by itself."""

import base64
import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from certificates import mobiles_to_enrol
from certificates.cut_off import cut_off
from certificates.models import MobileIdentity, Operation
from certificates.models.certificate import Certificate
from devices import mobiles
from devices.models import EnrolmentLink
from pki import issue
from systemupdates.models import DeviceUpdate
from tests.certificates import building
from tests.devices.enrolment_links import server
from zcc.ground.models import AuditEvent

__all__ = ["server"]

PAGE, DIALOG = "/certificates/mobiles/", "/certificates/mobiles/enrol-again/"
KEY = "ab" * 32

pytestmark = pytest.mark.usefixtures("server", "ca")


@pytest.fixture
def carol(client):
    """May manage devices, and is signed in."""
    person = building.make_person("carol", "manage_devices", "manage_certificates")
    client.force_login(person)
    return person


@pytest.fixture
def make_mobile(zone, ca, now):
    """Make a mobile with an identity of the zone's CA that ends in `days`."""

    def make(name, *, days=300, state="current", authority=ca, **columns):
        mobile = building.make_device(zone, name, now, kind="mobile", **columns)
        plan = issue.plan_identity(
            building.key(100).public_key(),
            issuer=authority.x509(),
            name=name,
            guid=str(mobile.guid),
            now=now,
        )
        facts = Certificate.columns(issue.sign(plan, building.key(authority.generation)))
        facts["expires_at"] = now + timedelta(days=days)
        MobileIdentity.objects.create(
            device=mobile, authority=authority, state=state, requested_at=now, **facts
        )
        return mobile

    return make


def names(zone, now):
    rows = mobiles_to_enrol.to_enrol(zone, now=now)
    return sorted(rows.values_list("name", flat=True))


def file_of(response):
    """Return the lines of the file that comes with the answer."""
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', response.text)
    return list(csv.DictReader(io.StringIO(base64.b64decode(found[1]).decode())))


def secret_in(link):
    return mobiles.PATH in link and link.partition("#")[2].split(".")[0]


# Who it is


def test_mobile_needs_a_link_once_its_identity_has_ended(zone, make_mobile, now):
    make_mobile("good")
    make_mobile("expired", days=-1)
    make_mobile("replaced", state="previous")
    building.make_device(zone, "never", now, kind="mobile")
    building.make_device(zone, "laptop", now, kind="workstation")

    assert names(zone, now) == ["expired", "never", "replaced"]


def test_retired_mobile_and_one_that_is_being_enrolled_need_none(zone, make_mobile, now):
    make_mobile("retired", days=-1, retired_at=now)
    waiting = make_mobile("waiting", days=-1)
    MobileIdentity.objects.create(device=waiting, state="requested", csr=b"", requested_at=now)

    assert names(zone, now) == []


def strict(make_operation):
    operation = make_operation("overlap")
    Operation.objects.update(policy="strict", activated_at=operation.created_at)
    return operation


def test_strict_activation_leaves_those_that_had_not_taken_the_new_ca(
    zone, make_mobile, make_operation, now
):
    missed, ready = make_mobile("missed"), make_mobile("ready")
    operation = strict(make_operation)
    renewed = make_mobile("renewed", authority=operation.new_ca)
    DeviceUpdate.objects.filter(device__in=[missed, renewed]).update(state="assigned")
    assert DeviceUpdate.objects.get(device=ready).state == "pending"

    assert names(zone, now) == ["missed"]


def test_overlap_leaves_nobody(zone, make_mobile, make_operation, now):
    make_mobile("missed")
    make_operation("overlap")
    DeviceUpdate.objects.update(state="assigned")

    assert names(zone, now) == []


def test_mobile_that_trusts_no_ca_of_the_zone_refuses_every_server(zone, make_mobile, now):
    asleep = make_mobile("asleep", trusted_fingerprints=["cd" * 32])

    assert names(zone, now) == ["asleep"]
    [reason] = mobiles_to_enrol.reasons([asleep], now=now)
    assert reason.text == "It was away until the CA that it trusts was retired."
    assert cut_off(zone).number == 0  # the Certificate Updater Tool is not for mobiles


# The button


def test_each_gets_a_link_that_works_once(client, carol, zone, make_mobile, server, now):
    phones = [make_mobile(name, days=-1) for name in ("phone1", "phone2")]
    make_mobile("good")

    response = client.post(DIALOG, {"days": "14"})

    lines = file_of(response)
    assert [line["Mobile"] for line in lines] == ["phone1", "phone2"]
    link = lines[0]["Re-enrolment link"]
    assert response.text.count(link) == 2 and f'data-copy="{link}"' in response.text
    for phone, line in zip(phones, lines, strict=True):
        link = line["Re-enrolment link"]
        assert link.endswith(f".{server}")
        assert mobiles.use_link(secret_in(link), KEY, now=now).device == phone
    assert {row.created_by for row in EnrolmentLink.objects.all()} == {carol}
    events = AuditEvent.objects.filter(what="Re-enrolment link made")
    assert sorted(events.values_list("subject", "by")) == [
        ("phone1", carol.pk), ("phone2", carol.pk),
    ]  # fmt: skip


def test_second_click_leaves_the_links_that_were_handed_over(client, carol, make_mobile, now):
    make_mobile("phone1", days=-1)
    first = secret_in(file_of(client.post(DIALOG, {"days": "14"}))[0]["Re-enrolment link"])
    make_mobile("phone2", days=-1)

    lines = file_of(client.post(DIALOG, {"days": "14"}))

    assert [line["Mobile"] for line in lines] == ["phone2"]
    assert mobiles.find_link(first, now=now).name == "phone1"
    response = client.post(DIALOG, {"days": "14"})
    assert response.status_code == 422
    assert "No mobile needs a link" in response.text


def test_those_with_a_link_get_another_if_that_is_wanted(client, carol, make_mobile, now):
    phone = make_mobile("phone1", days=-1)
    client.post(DIALOG, {"days": "14"})

    client.post(DIALOG, {"days": "14", "also_with_link": "on"})

    assert phone.enrolment_links.count() == 2
    assert phone.enrolment_links.open(now + timedelta(minutes=1)).count() == 1


def test_so_many_are_made_at_a_time(client, carol, make_mobile, monkeypatch):
    monkeypatch.setattr(mobiles_to_enrol, "MOST", 2)
    for number in range(3):
        make_mobile(f"phone{number}", days=-1)

    response = client.post(DIALOG, {"days": "14"})

    assert len(file_of(response)) == 2
    assert "1 mobile still has none" in response.text
    assert [line["Mobile"] for line in file_of(client.post(DIALOG, {"days": "14"}))] == ["phone2"]


def test_name_is_no_formula_for_a_spreadsheet(client, carol, make_mobile):
    make_mobile("=1+1", days=-1)

    assert file_of(client.post(DIALOG, {"days": "14"}))[0]["Mobile"] == "'=1+1"


@pytest.mark.parametrize("days", ["", "0", "91", "x"])
def test_days_that_do_not_fit_are_refused(client, carol, make_mobile, days):
    make_mobile("phone1", days=-1)

    response = client.post(DIALOG, {"days": days})

    assert response.status_code == 422
    assert "A link is valid for 1 to 90 days." in response.text
    assert not EnrolmentLink.objects.exists()


def test_who_may_not_manage_devices_makes_none(client, bob, make_mobile):
    make_mobile("phone1", days=-1)
    client.force_login(bob)

    assert client.post(DIALOG, {"days": "14"}).status_code == 403
    assert not EnrolmentLink.objects.exists()
    assert "Your account lacks the right to manage devices." in client.get(PAGE).text


def test_dialog_shows_its_fields_and_how_many(client, carol, make_mobile):
    make_mobile("phone1", days=-1)

    page = client.get(DIALOG).text

    assert "1 mobile has no link yet." in page
    assert 'name="days"' in page
    assert 'name="also_with_link"' not in page


def test_dialog_without_anybody_says_so(client, carol, make_mobile):
    make_mobile("good")

    assert "No mobile has to be enrolled again." in client.get(DIALOG).text


# Where it stands


def test_page_lists_them_with_why_and_their_links(client, carol, make_mobile, now):
    make_mobile("phone1", days=-1)
    client.post(DIALOG, {"days": "14"})
    make_mobile("phone2", state="previous")

    page = client.get(PAGE).text

    assert "2 mobiles cannot come back by themselves" in page
    assert "Its identity has expired." in page
    assert "It has no identity." in page
    assert page.count("good until") == 1


def test_page_costs_the_same_for_many(client, carol, make_mobile):
    def cost(number):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(PAGE).text.count("Its identity has expired.") == number
        return len(queries)

    for number in range(3):
        make_mobile(f"phone{number}", days=-1)
    few = cost(3)
    for number in range(3, 30):
        make_mobile(f"phone{number}", days=-1)

    assert cost(30) == few


def test_certificates_page_and_operation_point_to_it(client, carol, make_mobile, make_operation):
    make_mobile("missed")
    operation = strict(make_operation)
    DeviceUpdate.objects.filter(device__name="missed").update(state="assigned")

    for address in ("/certificates/", f"/certificates/operations/{operation.pk}/"):
        page = client.get(address).text
        assert "Each needs" not in page
        assert "It needs a re-enrolment link." in page
        assert f'href="{PAGE}"' in page
        assert f'hx-get="{DIALOG}"' in page
        assert "Certificate Updater Tool on" not in page


def test_first_page_says_it_once(client, carol, ca, make_mobile, now):
    make_mobile("phone1", days=-1)
    building.note_backup(ca, by=carol, at=now)

    page = client.get("/certificates/").text

    assert page.count("1 mobile cannot come back by itself.") == 1
    assert "0 of 1 have a re-enrolment link." in page
    assert re.search(rf'href="{PAGE}"[^>]*>Make re-enrolment links for 1 mobile', page)


def test_they_say_nothing_while_every_mobile_can_call(client, carol, make_mobile, make_operation):
    make_mobile("good")
    make_operation("overlap")

    assert "cannot come back" not in client.get("/certificates/").text


def test_page_of_the_mobile_says_so(client, carol, make_mobile):
    phone, good = make_mobile("phone1", days=-1), make_mobile("good")
    address = "/certificates/device/{}/"
    assert "It needs a re-enrolment link." in client.get(address.format(phone.pk)).text

    client.post(DIALOG, {"days": "14"})

    page = client.get(address.format(phone.pk)).text
    assert "Its identity has expired. It has a re-enrolment link" in page
    assert "cannot come back" not in client.get(address.format(good.pk)).text
