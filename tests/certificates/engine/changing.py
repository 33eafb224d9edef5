"""What the stories of `Change CA` need: wishes for both kinds, and certificates signed outside."""

from datetime import timedelta
from uuid import uuid4

from certificates.actions import change_ca
from certificates.models import Operation, ServerCertificate
from certificates.models.certificate import Certificate
from devices.models import Device
from pki import trusted_root
from zcc.ground import clock


def wishes(**changes):
    known = {
        "key_type": "ec-p256",
        "include_additional_dns_names": True,
        "activate_at": clock.now() + timedelta(hours=2),
        "idempotency_key": uuid4(),
    }
    return known | changes


def to_internal(living, server, **changes):
    living.devices_have_refreshed()
    asked = wishes(common_name="TEST-ZONE", years=5, server=Device.objects.get(name=server))
    return change_ca.change_to_internal(
        living.ca,
        change_ca.InternalWishes(**(asked | changes)),
        by=living.alice,
        now=clock.now(),
    )


def to_external(living, external, *, console="ps1", file=None, **changes):
    living.devices_have_refreshed()
    asked = wishes(
        trusted=trusted_root.read(file or external.chain, now=clock.now()),
        csr_mode="automatic",
        csr_subject={"O": "Acme", "C": "NO"},
        console=Device.objects.get(name=console),
    )
    return change_ca.change_to_external(
        living.ca,
        change_ca.ExternalWishes(**(asked | changes)),
        by=living.alice,
        now=clock.now(),
    )


def import_all(external, operation):
    """What `Import Certificate` leaves: the requests signed by the external CA, in their rows."""
    new_ca = operation.zone.authorities.get(guid=operation.guid)
    for row in ServerCertificate.objects.filter(operation=operation, state="requested"):
        leaf = external.sign_server(bytes(row.csr))
        ServerCertificate.objects.filter(pk=row.pk).move(
            to="future",
            authority=new_ca,
            intermediates=external.intermediates,
            **Certificate.columns(leaf),
        )


def carry_through(living, operation, *, external=None, until="overlap"):
    """Take an operation that has begun as far as `until`."""
    living.run()
    if external is not None:
        import_all(external, operation)
    if until != "replicating":
        replicate(living, operation)
        living.run()
    if until in ("armed", "overlap"):
        living.run(at=operation.activate_at - timedelta(minutes=9))
    if until == "overlap":
        living.run(at=operation.activate_at)
    found = Operation.objects.get(pk=operation.pk)
    assert (found.state, found.problem, found.held_reason) == (until, "", "")
    return found


def replicate(living, operation):
    """Let the next round of the schedule be now, and every server be its own source."""
    operation.refresh_from_db()
    operation.update.refresh_from_db()
    living.replicate_now()
