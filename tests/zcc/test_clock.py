from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from zcc.ground import clock

pytestmark = pytest.mark.django_db


def test_now_is_aware_and_close_to_the_host_clock():
    now = clock.now()

    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_now_goes_on_inside_a_transaction():
    with transaction.atomic():
        first = clock.now()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        second = clock.now()

    assert first < second


def test_skew_of_a_host_with_its_database_is_small():
    assert abs(clock.skew()) < timedelta(seconds=1)
