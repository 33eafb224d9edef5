"""The key of a retired CA ends when nothing lives any more that it signed; and who needs a CA."""

from datetime import timedelta

import pytest
from cryptography import x509

from agent import faults
from certificates import key_ends, keys, retirement, tasks
from certificates.actions import authorities, decisions, retirements
from certificates.history import History
from certificates.models import CertificateAuthority, KeyEnd, Operation
from devices.models import Device
from zcc.ground import clock, here


@pytest.fixture
def retired(living):
    """A completed operation, all of whose old CA's certificates have expired."""
    return living.reach("completed")


def all_expire():
    """Let every certificate that was issued for others be one that ended long ago."""
    for ca in CertificateAuthority.objects.filter(state="retired"):
        ca.issued.exclude(purpose="ca").delete()
    KeyEnd.objects.update(due_at=clock.now() - timedelta(seconds=1))


def has_key(ca):
    return keys.has_ca_key(here.home("ps1"), ca.guid)


def destroyed_at(ca):
    return CertificateAuthority.objects.get(pk=ca.pk).key_destroyed_at


def titles(operation):
    entries = History(operation, {}, now=clock.now()).entries()
    return [(entry.title, entry.text) for entry in entries if entry.title == "Key destroyed"]


def test_key_lives_as_long_as_what_it_signed(living, retired):
    end = KeyEnd.objects.get()
    ends = [row.x509().not_valid_after_utc for row in retired.old_ca.server_certificates.all()]
    ends += [row.x509().not_valid_after_utc for row in retired.old_ca.links_signed.all()]

    assert (end.authority, end.due_at) == (retired.old_ca, max(ends))
    assert has_key(retired.old_ca)


def test_last_end_is_known_without_reading_certificates(living, retired, django_assert_num_queries):
    old_ca = retired.old_ca
    issued = old_ca.issued.exclude(purpose="ca")
    ends = [x509.load_der_x509_certificate(bytes(row.der)).not_valid_after_utc for row in issued]

    with django_assert_num_queries(2) as queries:
        assert key_ends.last_expiry(old_ca) == max(ends)
    assert not issued.filter(expires_at=None).exists()
    assert "MAX(" in queries[1]["sql"]


def test_certificate_without_a_noted_end_counts(living, retired):
    last = key_ends.last_expiry(retired.old_ca)
    retired.old_ca.issued.filter(expires_at=last).update(expires_at=None)

    assert key_ends.last_expiry(retired.old_ca) == last


def test_key_is_destroyed_when_its_day_has_come_and_the_history_says_so(living, retired):
    all_expire()

    living.run()

    assert not has_key(retired.old_ca)
    assert has_key(retired.new_ca)
    assert destroyed_at(retired.old_ca) is not None
    said = f"{retired.old_ca.named}, on ps1."
    assert titles(retired) == [("Key destroyed", said)]


def test_key_stays_when_something_that_it_signed_still_lives(living, retired):
    real = KeyEnd.objects.get().due_at
    KeyEnd.objects.update(due_at=clock.now())

    living.run()

    assert has_key(retired.old_ca)
    assert KeyEnd.objects.get().due_at == real


def test_failed_destruction_is_shown_and_tried_again(living, retired, monkeypatch):
    all_expire()
    faults.forget()
    monkeypatch.setenv("ZCC_FAULTS", "ca-key-ends:raise")
    living.run()
    assert "Fault asked for" in KeyEnd.objects.get().problem
    assert has_key(retired.old_ca)
    monkeypatch.delenv("ZCC_FAULTS")

    KeyEnd.objects.update(retry_at=clock.now())
    living.run()

    assert not has_key(retired.old_ca)
    assert KeyEnd.objects.get().problem == ""


def test_message_that_went_astray_destroys_nothing(living, retired, monkeypatch):
    all_expire()
    monkeypatch.setenv(here.VARIABLE, "ps2")

    tasks.destroy_key(key_end_id=KeyEnd.objects.get().pk)

    assert has_key(retired.old_ca)
    assert destroyed_at(retired.old_ca) is None
    assert KeyEnd.objects.get().claim_id is None


def test_key_of_a_retired_rolled_back_ca_ends_too(living):
    operation = living.reach("overlap")
    decisions.roll_back(operation, reason="no", by=living.alice, now=clock.now())
    living.run()
    operation = Operation.objects.get()
    retirements.retire_rolled_back_ca(operation, by=living.alice, now=clock.now())
    all_expire()

    living.run()

    assert not has_key(operation.new_ca)
    assert has_key(operation.old_ca)
    assert key_ends.operation_that_ended(operation.new_ca) == operation
    assert len(titles(operation)) == 1


def test_need_is_noted_for_every_retirement_that_would_cut_a_device_off(living):
    first, second = living.reach("overlap"), living.reach("overlap")
    now = clock.now() + timedelta(days=1)

    def needed_by(*trusted):
        Operation.objects.update(needed_at=None)
        device = Device(zone=living.zone, trusted_fingerprints=[ca.sha256 for ca in trusted])
        retirement.note_need(device, now=now)
        rows = Operation.objects.filter(needed_at=now).order_by("pk")
        return [row.pk for row in rows]

    generations = CertificateAuthority.objects.order_by("generation")
    g1, g2, g3 = generations
    assert needed_by(g1) == [first.pk, second.pk]
    assert needed_by(g1, g2) == needed_by(g2) == [second.pk]
    assert needed_by(g1, g2, g3) == needed_by(g3) == needed_by() == []


def test_retiring_the_newest_completes_the_overlaps_before(living):
    first, second = living.reach("overlap"), living.reach("overlap")

    authorities.retire_old_ca(second, by=living.alice, now=clock.now())

    first.refresh_from_db()
    assert first.state == "completed"
    states = CertificateAuthority.objects.order_by("generation").values_list("state", flat=True)
    assert list(states) == ["retired", "retired", "active"]
    assert KeyEnd.objects.count() == 2
