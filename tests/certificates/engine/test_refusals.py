"""What a remint refuses, with nothing created."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection

from certificates.actions import authorities
from certificates.models import CertificateAuthority, Operation
from devices.models import Device
from systemupdates.models import SystemUpdate
from zcc.ground import clock


def refuse(living, sentence, **wishes):
    with pytest.raises(authorities.Refused, match=sentence):
        living.remint(**wishes)
    assert not Operation.objects.exists()
    assert not SystemUpdate.objects.exists()


@pytest.mark.parametrize("years", [0, 11, -1])
def test_years_outside_of_one_to_ten(living, years):
    refuse(living, "valid for 1 to 10 years", years=years)


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        (timedelta(minutes=-1), "has passed"),
        (timedelta(minutes=5), "too soon"),
        (timedelta(days=365 * 10 + 1), "expires before that"),
    ],
)
def test_activation_at_an_impossible_time(living, ahead, sentence):
    refuse(living, sentence, activate_at=clock.now() + ahead)


def test_activation_after_the_new_ca_would_have_expired(living):
    refuse(living, "would have expired", years=1, activate_at=clock.now() + timedelta(days=366))


@pytest.mark.parametrize("name", ["", "x" * 65, "x" * 10_000, "a\x00b", "a\u202eb", "🔒"])
def test_common_name_that_cannot_be_used(living, name):
    refuse(living, "ommon name", common_name=name)


def test_unknown_key_length(living):
    refuse(living, "no key length", key_type="rsa-1024")


def test_external_ca(living):
    CertificateAuthority.objects.update(kind="external")

    refuse(living, "external")


def test_servers_of_different_versions_are_listed(living):
    Device.objects.filter(name="ps2").update(version="0.9")

    refuse(living, r"ps2 has 0\.9")


def make_satellite(living, **columns):
    satellite = living.add_workstation("cache1")
    known = {"is_content_satellite": True, "version": Device.objects.get(name="ps1").version}
    Device.objects.filter(pk=satellite.pk).update(**(known | columns))


def test_silent_satellite_is_named(living):
    make_satellite(living, last_contact_at=clock.now() - timedelta(hours=13))

    refuse(living, "version of cache1 is not known")


@pytest.mark.parametrize("columns", [{}, {"retired_at": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_silent_satellite_that_is_waived_or_retired_is_no_obstacle(living, columns):
    make_satellite(living, last_contact_at=clock.now() - timedelta(hours=13), **columns)

    living.remint(waive_silent=not columns)

    assert Operation.objects.count() == 1


def test_second_operation_is_refused_while_one_is_open(living):
    first = living.remint()

    with pytest.raises(authorities.OperationInProgress, match="Remint CA is in progress"):
        living.remint()

    assert Operation.objects.get() == first


def test_same_form_twice_is_one_operation(living):
    key = uuid4()

    assert living.remint(idempotency_key=key) == living.remint(idempotency_key=key)


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_one_is_accepted(living):
    ca, wishes = living.ca, [living.wishes() for _ in range(20)]
    answers, start = [], threading.Barrier(20)

    def remint(wish):
        start.wait()
        try:
            answers.append(authorities.remint(ca, wish, by=living.alice, now=clock.now()))
        except authorities.OperationInProgress as error:
            answers.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=remint, args=[wish]) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 20
    assert sum(isinstance(answer, Operation) for answer in answers) == 1
    assert (Operation.objects.count(), SystemUpdate.objects.count()) == (1, 1)


def test_shipped_cutoff_is_ten_minutes():
    code = "from django.conf import settings; print(settings.ZCC_CANCEL_CUTOFF.total_seconds())"
    environment = {key: value for key, value in os.environ.items() if key != "ZCC_CANCEL_CUTOFF"}
    environment["DJANGO_SETTINGS_MODULE"] = "zcc.settings"

    shown = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == "600.0"
