"""Many numbers as one parameter of a query."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from zcc.ground.many import listed

pytestmark = pytest.mark.django_db


def test_rows_of_these_numbers_are_found_and_no_others():
    rows = [User.objects.create(username=f"u{number}") for number in range(3)]

    found = User.objects.filter(pk__in=listed([rows[0].pk, rows[2].pk, 2**62])).order_by("pk")

    assert list(found) == [rows[0], rows[2]]
    assert not User.objects.filter(pk__in=listed([])).exists()


def test_they_are_one_parameter():
    with CaptureQueriesContext(connection) as captured:
        list(User.objects.filter(pk__in=listed(range(100_000))))  # over the limit of parameters

    assert len(captured) == 1
