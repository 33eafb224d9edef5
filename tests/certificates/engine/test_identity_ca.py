"""Identities of mobiles in a zone with an external CA: who signs them, for how long, for what."""

import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent import faults
from certificates import due, identities, identity_cas, issuing, keys, trust
from certificates.actions import authorities, decisions, operations, retirements
from certificates.models import IdentityCA, IssuedCertificate, MobileIdentity, Operation
from devices.models import Device
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.test_mobiles import Phone, take_new_ca
from tests.certificates.external_ca import ExternalCA
from tests.zcc.est import make_request, read
from zcc import est
from zcc.ground import clock, here
from zcc.ground.models import AuditEvent


@pytest.fixture
def acme(tmp_path):
    return ExternalCA(tmp_path / "outside")


@pytest.fixture
def phone(living):
    found = Phone(living.zone)
    assert found.enrol().status == 200
    found.sync(anchors=[living.ca])
    return found


def go_external(living, acme, phone=None):
    """Change to the external CA as far as the Overlap; the phone has taken it by then."""
    operation = changing.to_external(living, acme)
    changing.carry_through(living, operation, external=acme, until="assigned")
    operation.refresh_from_db()
    if phone is not None:
        take_new_ca(phone, operation)
    return changing.carry_through(living, operation)


@pytest.fixture
def outside(living, acme):
    """The zone's CA is Acme's, in Overlap."""
    go_external(living, acme)
    return living


def verify(identity, *issuers, folder, purpose="sslclient"):
    """Whether openssl verifies the identity by these CAs."""
    (folder / "identity.pem").write_bytes(identity.public_bytes(Encoding.PEM))
    pems = "".join(trust.anchor_pem(issuer) for issuer in issuers)
    (folder / "issuers.pem").write_text(pems)
    words = ("-x509_strict", "-purpose", purpose, "-CAfile", "issuers.pem", "identity.pem")
    done = subprocess.run(["openssl", "verify", *words], cwd=folder, capture_output=True)
    return done.returncode == 0


def lets_in(name, identity_ca):
    """Whether the device API of this server verifies identities by the identity CA."""
    return trust.anchor_pem(identity_ca).encode() in here.home(name).read_file(here.ISSUERS)


def retire(living, operation):
    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()


def end_soon():
    """Let the identity CA be one that is to be renewed; return it."""
    soon = clock.now() + identity_cas.RENEW_BEFORE - timedelta(hours=1)
    IdentityCA.objects.update(expires_at=soon)
    return IdentityCA.objects.get()


# There and back


def test_identity_is_renewed_through_the_change_in_both_directions(living, acme, phone, tmp_path):
    there = go_external(living, acme, phone)
    assert phone.sync()["identity"]["renew"] is True
    assert phone.enrol_again().status == 200
    phone.sync("completed", anchors=[there.old_ca, there.new_ca])
    identity_ca = IdentityCA.objects.get()
    assert (phone.row.signed_by, phone.issuer) == (identity_ca, there.new_ca)
    assert verify(phone.identity, identity_ca, folder=tmp_path)
    assert phone.device.updates.get().state == "completed"

    back = changing.to_internal(living, "ps2")
    changing.carry_through(living, back, until="assigned")
    take_new_ca(phone, Operation.objects.get(pk=back.pk))
    back = changing.carry_through(living, Operation.objects.get(pk=back.pk))

    assert phone.sync()["identity"]["renew"] is True
    assert phone.enrol_again().status == 200
    phone.sync("completed", anchors=[back.old_ca, back.new_ca])
    assert phone.row.signed_by == back.new_ca
    assert verify(phone.identity, back.new_ca, folder=tmp_path)
    assert phone.sync()["identity"]["renew"] is False


def test_update_is_not_completed_with_the_identity_of_the_old_ca(living, acme, phone):
    go_external(living, acme, phone)

    phone.sync("completed")

    assert phone.device.updates.latest("pk").state == "pending"


def test_old_identity_is_good_until_it_is_renewed(living, acme, phone):
    operation = go_external(living, acme, phone)
    retire(living, operation)

    assert phone.sync()["identity"]["renew"] is True  # its issuer is retired, it is let in
    assert all(lets_in(name, operation.old_ca) for name in SERVERS)
    assert phone.enrol_again().status == 200


def test_mobile_enrols_and_renews_in_an_external_zone(outside, tmp_path):
    phone = Phone(outside.zone)

    assert phone.enrol().status == 200
    assert phone.sync(anchors=[outside.ca])["identity"]["renew"] is False
    first = phone.row
    assert phone.enrol_again().status == 200

    assert phone.row.signed_by == first.signed_by == IdentityCA.objects.get()
    issued = IssuedCertificate.objects.filter(purpose="identity").exclude(der=None)
    assert {row.identity_ca for row in issued} == {IdentityCA.objects.get()}


def test_each_external_ca_has_an_identity_ca_of_its_own(outside, acme):
    phone = Phone(outside.zone)
    phone.enrol()
    phone.sync(anchors=[outside.ca])
    before = phone.row.signed_by

    renewal = changing.to_external(outside, acme)  # of the same external CA
    changing.carry_through(outside, renewal, external=acme)

    assert phone.sync()["identity"]["renew"] is True
    assert phone.enrol_again().status == 200
    assert phone.row.signed_by != before
    assert phone.row.signed_by.authority == outside.ca


# Whom it is for


def test_every_server_lets_its_identities_in_before_the_activation(living, acme):
    operation = changing.to_external(living, acme)
    changing.carry_through(living, operation, external=acme, until="replicating")

    assert all(lets_in(name, IdentityCA.objects.get()) for name in SERVERS)


def test_nobody_trusts_it_for_servers(outside, tmp_path):
    phone = Phone(outside.zone)
    phone.enrol()
    identity_ca = IdentityCA.objects.get()

    told = trust.anchors_in(trust.published(outside.zone))
    shown = read(est.answer(est.Call("GET", f"{est.PREFIX}cacerts", {})))

    assert identity_ca.sha256 not in told
    assert identity_ca.x509() not in shown
    assert verify(phone.identity, identity_ca, folder=tmp_path)
    assert not verify(phone.identity, outside.ca, folder=tmp_path)
    assert not verify(phone.identity, identity_ca, folder=tmp_path, purpose="sslserver")
    limits = identity_ca.x509().extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.path_length == 0


def test_its_key_is_on_the_signing_server_alone_and_in_no_ring(outside, homes):
    [guid] = IdentityCA.objects.values_list("guid", flat=True)

    assert [name for name in SERVERS if keys.identity_keys(homes[name])] == ["ps1"]
    assert guid not in keys.ring(homes["ps1"], outside.zone).authorities
    sealed = homes["ps1"].read_file(f"ca/identity-{guid}.key")
    assert b"PRIVATE" not in sealed
    assert keys.load_identity_key(homes["ps1"], outside.zone, guid)


def test_internal_zone_has_none(living):
    living.reach("overlap")

    assert not IdentityCA.objects.exists()


# Its end


def test_cancel_destroys_its_key(living, homes, acme):
    operation = changing.to_external(living, acme)
    operation = changing.carry_through(living, operation, external=acme, until="assigned")
    assert keys.identity_keys(homes["ps1"])

    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    assert not keys.identity_keys(homes["ps1"])
    assert IdentityCA.objects.get().key_destroyed_at is not None
    assert not lets_in("ps2", IdentityCA.objects.get())


def test_after_a_rollback_the_zones_ca_signs_again(living, homes, acme, phone):
    operation = go_external(living, acme, phone)
    phone.enrol_again()
    phone.sync("completed")
    decisions.roll_back(operation, reason="no", by=living.alice, now=clock.now())
    living.run()

    assert phone.sync()["identity"]["renew"] is True  # called with the one of the identity CA
    assert phone.enrol_again().status == 200
    assert phone.row.signed_by == living.ca
    operation.refresh_from_db()
    retirements.retire_rolled_back_ca(operation, by=living.alice, now=clock.now())
    living.run()
    assert not keys.identity_keys(homes["ps1"])


def test_its_key_is_kept_as_long_as_one_can_go_back(outside, homes):
    phone = Phone(outside.zone)
    phone.enrol()
    phone.sync(anchors=[outside.ca])
    back = changing.carry_through(outside, changing.to_internal(outside, "ps1"))
    assert keys.identity_keys(homes["ps1"])

    retire(outside, back)

    assert not keys.identity_keys(homes["ps1"])
    assert lets_in("ps3", phone.row.signed_by)  # its last identity lives
    assert phone.sync()["identity"]["renew"] is True


@pytest.mark.parametrize("damage", ["lost", "broken"])
def test_another_one_is_made_when_its_key_is(outside, homes, damage):
    phone = Phone(outside.zone)
    phone.enrol()
    phone.sync(anchors=[outside.ca])
    first = phone.row.signed_by
    file = f"ca/identity-{first.guid}.key"
    if damage == "lost":
        homes["ps1"].remove_file(file)
    else:
        homes["ps1"].write_secret(file, b"not a key")

    request = make_request()
    assert phone.post("simplereenroll", request).status == 202
    outside.run()
    MobileIdentity.objects.update(retry_at=None)  # seconds later
    outside.run()

    assert phone.ask("simplereenroll", request).status == 200
    second = phone.row.signed_by
    assert (second, second.server) == (IdentityCA.objects.latest("pk"), first.server)
    assert second != first
    assert all(lets_in(name, ca) for name in SERVERS for ca in (first, second))
    assert keys.identity_keys(homes["ps1"]) == {second.guid}
    assert AuditEvent.objects.get(what="Identity CA replaced").subject == "ps1"


def test_it_is_replaced_before_its_identities_become_short(outside):
    first = end_soon()

    outside.run()

    first.refresh_from_db()
    second = identity_cas.in_force(outside.ca)
    assert first.replaced_at is not None
    assert second.expires_at > clock.now() + 4 * issuing.IDENTITY_LIFETIME


@pytest.mark.parametrize("point", ["identity-key-made", "planned", "signed", "file.renamed"])
def test_it_signs_until_the_next_one_is_made(outside, homes, monkeypatch, point):
    """The disk is full, say, when it is to be renewed."""
    first = end_soon()
    with monkeypatch.context() as full:
        faults.forget()
        full.setenv("ZCC_FAULTS", f"{point}:raise:1")
        outside.run(only="make_identity_ca", turns=1)
    identity_cas.forget_unneeded(first.server, home=homes["ps1"])

    assert identity_cas.in_force(outside.ca) == first
    assert Phone(outside.zone).enrol().status == 200
    assert MobileIdentity.objects.get().signed_by == first

    IdentityCA.objects.update(retry_at=None)
    outside.run()

    second = identity_cas.in_force(outside.ca)
    assert second != first and keys.identity_keys(homes["ps1"]) == {second.guid}


def test_one_that_is_replaced_while_it_is_made_takes_nobodys_place(outside, homes):
    first = end_soon()
    row = identity_cas.claim(outside.ca.pk, server=first.server, now=clock.now())
    IdentityCA.objects.filter(pk=row.pk).update(replaced_at=clock.now())

    identity_cas.carry_out(row, home=homes["ps1"])

    assert identity_cas.in_force(outside.ca) == first
    assert keys.identity_keys(homes["ps1"]) == {first.guid}


# Work that breaks off


@pytest.mark.parametrize("point", ["identity-key-made", "planned", "signed", "file.renamed"])
def test_worker_that_dies_leaves_what_the_next_one_ends(outside, homes, monkeypatch, point):
    identity_cas.replace(IdentityCA.objects.get(), at=clock.now())
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", f"{point}:raise:1")
    outside.run(only="make_identity_ca", turns=1)
    monkeypatch.delenv("ZCC_FAULTS")
    assert identity_cas.in_force(outside.ca) is None
    IdentityCA.objects.update(retry_at=None)

    outside.run()

    assert identity_cas.in_force(outside.ca) is not None
    assert IdentityCA.objects.in_force().count() == 1
    assert len(keys.identity_keys(homes["ps1"])) == 1


@pytest.mark.parametrize("kek", ["another", "none"])
def test_half_made_one_whose_key_does_not_open_is_begun_anew(outside, homes, monkeypatch, kek):
    """The host was rebuilt: its key-encryption key is another one, or not there yet."""
    identity_cas.replace(IdentityCA.objects.get(), at=clock.now())
    with monkeypatch.context() as dying:
        faults.forget()
        dying.setenv("ZCC_FAULTS", "identity-key-made:raise:1")
        outside.run(only="make_identity_ca", turns=1)
    homes["ps1"].remove_file(keys.KEK_FILE)
    if kek == "none":
        IdentityCA.objects.update(retry_at=None)
        outside.run(only="make_identity_ca", turns=1)
        assert "no key-encryption key" in IdentityCA.objects.latest("pk").problem
    keys.make_key_encryption_key(homes["ps1"])
    IdentityCA.objects.update(retry_at=None)

    outside.run(only="make_identity_ca")

    made = identity_cas.in_force(outside.ca)
    assert made is not None and made.problem == ""
    assert keys.load_identity_key(homes["ps1"], outside.zone, made.guid)


def test_request_waits_for_the_signing_server(outside):
    phone = Phone(outside.zone)
    phone.post("simpleenroll", make_request(phone.key), secret=phone.secret)
    outside.fall_silent("ps1")
    outside.run()
    assert MobileIdentity.objects.get().state == "requested"

    outside.beat("ps1")
    outside.run()

    assert MobileIdentity.objects.get().state == "issued"


def test_another_server_than_the_one_that_signs_makes_none(outside):
    identity_cas.replace(IdentityCA.objects.get(), at=clock.now())

    ps2, now = Device.objects.get(name="ps2"), clock.now()

    assert identity_cas.claim(outside.ca.pk, server=ps2, now=now) is None


def test_nothing_rings_once_it_is_made(outside):
    rings = [ring.task for ring in due.rings(outside.zone, now=clock.now())]

    assert not any(task.endswith(("make_identity_ca", "follow_trust")) for task in rings)
    assert identities.signer(outside.zone) == IdentityCA.objects.get()
