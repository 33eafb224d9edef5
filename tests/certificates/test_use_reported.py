"""A server with another address or DNS name than its record: noticed, shown, one click mends."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.models import HomeTrust, ServerCertificate
from devices import actions, contacts
from devices.models import Device, Kind
from tests.certificates.dialogs import assert_is_closed, assert_is_refused
from zcc.ground.models import AuditEvent

OTHER = {"addresses": ["10.9.9.9"], "dns_name": "moved.test.zone"}
WORDS = "another address: 10.9.9.9, and another DNS name: moved.test.zone"


@pytest.fixture
def staged(make_operation):
    """An operation in which every server has its future certificate."""
    operation = make_operation("assigned")
    operation.servers.update(staged_at=operation.created_at)
    ServerCertificate.objects.filter(state="future").update(csr=b"request")


@pytest.fixture
def satellite(staged, now):
    """A Satellite that has moved since its future certificate was made, and says so."""
    rows = Device.objects.filter(name="ps2")
    rows.update(kind=Kind.SERVER, is_authentication_satellite=True)
    contacts.record_contact(rows.get(), OTHER, now=now)
    return rows.get()


@pytest.fixture
def primary(staged, now):
    """A Primary Server that has moved, and says so with its heartbeat."""
    beat(Device.objects.get(name="ps2"), OTHER, now)
    return Device.objects.get(name="ps2")


@pytest.fixture(params=["satellite", "primary"])
def server(request):
    return request.getfixturevalue(request.param)


def beat(server, report, now):
    actions.beat(server, tick_at=now, skew=timedelta(), trusted=[], report=report, now=now)


def address(device):
    return reverse("certificates:use_reported", args=[device.pk])


def states(device):
    rows = ServerCertificate.objects.filter(device=device).order_by("pk")
    return list(rows.values_list("state", flat=True))


def use(client, device, shown=WORDS):
    return client.post(address(device), {"shown": shown})


def test_its_own_word_changes_no_certificate(server):
    assert server.dns_name != "moved.test.zone"
    assert "10.9.9.9" not in server.addresses
    assert server.reports_other == WORDS


@pytest.mark.parametrize("page", ["/devices/{}/", "/certificates/", "/certificates/?columns=all"])
def test_pages_say_what_it_reports_and_offer_to_use_it(client, alice, server, page):
    client.force_login(alice)

    text = client.get(page.format(server.pk)).text

    assert f"reports {WORDS}" in text
    assert f"{server.dns_name}, {server.addresses[0]}" in text
    assert address(server) in text


def test_one_click_takes_it_over_and_makes_the_future_certificate_anew(client, alice, server):
    client.force_login(alice)
    dialog = client.get(address(server)).text
    assert f'name="shown" value="{WORDS}"' in dialog

    assert_is_closed(use(client, server))

    server.refresh_from_db()
    assert (server.dns_name, server.addresses) == ("moved.test.zone", ["10.9.9.9"])
    assert server.reports_other == ""
    assert states(server) == ["current", "cancelled", "requested"]
    event = AuditEvent.objects.get(what="Use what it reports")
    assert (event.by, event.after) == (alice, "moved.test.zone, 10.9.9.9")


def test_without_an_operation_the_record_alone_changes(client, alice, servers, now):
    rows = Device.objects.filter(name="ps2")
    rows.update(kind=Kind.SERVER, is_authentication_satellite=True)
    contacts.record_contact(rows.get(), OTHER, now=now)
    client.force_login(alice)

    assert_is_closed(use(client, rows.get()))

    assert rows.get().addresses == ["10.9.9.9"]
    assert not ServerCertificate.objects.filter(state="requested").exists()


def test_what_has_changed_since_it_was_shown_is_refused(client, alice, satellite, now):
    client.force_login(alice)
    contacts.record_contact(satellite, OTHER | {"addresses": ["10.6.6.6"]}, now=now)

    assert_is_refused(use(client, satellite), "Meanwhile ps2 reports another address: 10.6.6.6")

    satellite.refresh_from_db()
    assert "10.6.6.6" not in satellite.addresses


def test_name_of_another_server_is_refused(client, alice, satellite, now):
    client.force_login(alice)
    Device.objects.filter(name="ps1").update(addresses=["10.1.1.1"])
    contacts.record_contact(satellite, {"addresses": ["10.1.1.1"], "dns_name": "ps2"}, now=now)
    satellite.refresh_from_db()

    assert_is_refused(use(client, satellite, satellite.reports_other), "belongs to ps1")


def test_it_is_impossible_once_more(client, alice, satellite):
    client.force_login(alice)
    use(client, satellite)

    assert_is_refused(use(client, satellite), "ps2 reports no other address or DNS name now.")


def test_who_may_only_look_cannot(client, bob, satellite):
    client.force_login(bob)

    assert use(client, satellite).status_code == 403
    assert address(satellite) not in client.get(f"/devices/{satellite.pk}/").text


def test_it_is_as_its_record_says_again(satellite, now):
    report = {"addresses": satellite.addresses, "dns_name": satellite.dns_name.upper()}

    contacts.record_contact(satellite, report, now=now)

    satellite.refresh_from_db()
    assert satellite.reports_other == ""


@pytest.mark.parametrize("report", [{}, {"addresses": ["x"], "dns_name": "*.x"}, {"addresses": 5}])
def test_what_is_no_address_or_name_changes_nothing(satellite, now, report):
    contacts.record_contact(satellite, report, now=now)

    satellite.refresh_from_db()
    assert satellite.reports_other == WORDS


def test_primary_server_takes_its_further_addresses_along(client, alice, primary, now):
    Device.objects.filter(pk=primary.pk).update(addresses=["10.1.1.1", "10.2.2.2"])
    primary.refresh_from_db()
    beat(primary, {"addresses": ["10.9.9.9", "10.2.2.2"], "dns_name": primary.dns_name}, now)
    client.force_login(alice)

    assert_is_closed(use(client, primary, "another address: 10.9.9.9, 10.2.2.2"))

    primary.refresh_from_db()
    assert (primary.address, primary.addresses) == ("10.9.9.9", ["10.9.9.9", "10.2.2.2"])


def test_primary_server_writes_its_setup_page_again(client, alice, primary):
    HomeTrust.objects.update_or_create(device=primary, defaults={"epoch": 7})
    client.force_login(alice)

    use(client, primary)

    assert HomeTrust.objects.get(device=primary).epoch == 0


def test_primary_server_that_is_back_reports_nothing(primary, now):
    beat(primary, {"addresses": primary.addresses, "dns_name": primary.dns_name}, now)

    primary.refresh_from_db()
    assert primary.reports_other == ""
