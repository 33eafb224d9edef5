"""How many servers have their certificate of an operation: each counts once."""

from certificates.models import ServerCertificate
from certificates.standing import Standing
from certificates.timeline import Timeline


def initiated(zone, now):
    """What the timeline says was made."""
    return Timeline(Standing(zone, now=now)).steps()[0].lines[1].text


def test_certificate_that_was_made_anew_counts_once(make_operation, zone, servers, now):
    operation = make_operation("assigned")
    rows = ServerCertificate.objects.filter(operation=operation, device=servers[1])
    rows.move(to="cancelled")
    assert initiated(zone, now) == "2 new certificates created"

    old = rows.get()
    ServerCertificate.objects.create(
        device=old.device, operation=operation, state="future", sha256="ef" * 32, created_at=now
    )

    assert initiated(zone, now) == "3 new certificates created"


def test_certificate_that_was_replaced_by_a_second_csr_is_missing(external, zone, servers, now):
    rows = external.operation.server_certificates.all()
    rows.update(sha256="ab" * 32)
    rows.move(to="future")
    assert initiated(zone, now) == "3 certificates of 3 from the external CA"

    rows.filter(device=servers[1]).move(to="cancelled")
    external.request(servers[1])

    assert initiated(zone, now) == "2 certificates of 3 from the external CA"


def test_certificate_after_the_operation_does_not_count(make_operation, zone, servers, now):
    operation = make_operation("overlap")
    rows = ServerCertificate.objects.filter(operation=operation, device=servers[0])
    rows.move(to="previous")
    ServerCertificate.objects.create(
        device=servers[0], operation=operation, state="current", sha256="ef" * 32, created_at=now
    )

    assert initiated(zone, now) == "3 new certificates created"


def test_cancel_still_says_how_many_were_made(make_operation, zone, alice, now):
    operation = make_operation("assigned")
    operation.start_cancel(by=alice, at=now)
    ServerCertificate.objects.filter(operation=operation).move(to="cancelled")

    assert initiated(zone, now) == "3 new certificates created"
