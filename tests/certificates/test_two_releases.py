"""Servers are upgraded one by one: the release before goes on with the database of the newer."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from certificates.models import Forecast
from systemupdates.models import SystemUpdate

BEFORE = [
    ("certificates", "0019_end_of_what_was_issued"),
    ("systemupdates", "0006_by_change"),
    ("devices", "0011_heard_by"),
]


@pytest.fixture
def before(db):
    """Return a model as the release before knows it."""
    known = MigrationLoader(connection).project_state(BEFORE).apps
    return known.get_model


def test_release_before_can_begin_an_operation(before, make_operation, now):
    operation, again = make_operation(), now + timedelta(hours=1)
    update = SystemUpdate.objects.filter(pk=operation.update_id).values(
        "zone_id", "initiating_server_id"
    )
    device = operation.servers.order_by("pk").values_list("device", flat=True)[0]

    made = before("systemupdates", "SystemUpdate").objects.create(created_at=again, **update.get())
    foreseen = before("certificates", "Forecast").objects.create(
        zone_id=operation.zone_id, due_at=again
    )
    operation.servers.filter(device=device).delete()
    before("certificates", "ServerProgress").objects.create(
        operation_id=operation.pk, device_id=device, updater_said="Done."
    )

    assert SystemUpdate.objects.get(pk=made.pk).at_withdrawal == {}
    assert Forecast.objects.get(pk=foreseen.pk).planned_total == 0


def test_release_before_can_read_what_the_newer_has_written(before, make_operation):
    operation = make_operation("assigned")

    rows = before("certificates", "ServerProgress").objects.filter(operation_id=operation.pk)

    assert {row.updater_said for row in rows} == {""}
