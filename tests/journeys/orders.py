"""
What an administrator does, as a process of its own: `python -m tests.journeys.orders ORDER ...`.

It calls the actions that the views call, with the zone's own settings and database.
"""

import json
import os
import sys
import uuid
from datetime import datetime, timedelta

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "zcc.settings"
django.setup()

from django.contrib.auth.models import User  # noqa: E402

from certificates import guard  # noqa: E402
from certificates.actions import authorities, decisions, operations  # noqa: E402
from certificates.actions.authorities import RemintWishes  # noqa: E402
from certificates.models import CertificateAuthority, Operation  # noqa: E402
from devices.models import Device, Zone  # noqa: E402
from systemupdates import actions as updates  # noqa: E402
from zcc.ground import clock  # noqa: E402


def remint(common_name, activate_at, policy):
    ca = CertificateAuthority.objects.get(state="active")
    wishes = RemintWishes(
        common_name=common_name,
        key_type="ec-p256",  # the journeys make many handshakes on few cores
        years=3,
        include_additional_dns_names=True,
        activate_at=datetime.fromisoformat(activate_at),
        policy=policy,
        idempotency_key=uuid.uuid4(),
        waive_silent=True,
    )
    return authorities.remint(ca, wishes, by=admin(), now=clock.now()).pk


def assign_now(operation):
    operations.assign_now(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def cancel(operation):
    operations.cancel(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def clear_failure(operation):
    operations.clear_failure(Operation.objects.get(pk=operation))


def retire(operation):
    authorities.retire_old_ca(Operation.objects.get(pk=operation), by=admin(), now=clock.now())


def sign_off(operation):
    """Sign off whoever would be lost now; return their names."""
    row = Operation.objects.get(pk=operation)
    devices = set(guard.lost(row).values_list("pk", flat=True))
    signed = decisions.sign_off(row, devices, reason="on leave", by=admin(), now=clock.now())
    return [name for _, name in signed.devices]


def roll_back(operation):
    row = Operation.objects.get(pk=operation)
    decisions.roll_back(row, reason="card readers", by=admin(), now=clock.now())


def redeploy(operation, device):
    update = Operation.objects.get(pk=operation).update
    found = Device.objects.filter(name=device)
    return updates.redeploy(update, found, by=admin(), now=clock.now())


def schedule(replication, refresh):
    """Set the two intervals of the zone, in seconds."""
    Zone.objects.update(
        replication_interval=timedelta(seconds=float(replication)),
        refresh_interval=timedelta(seconds=float(refresh)),
    )


def admin():
    return User.objects.get(username="admin")


ORDERS = {
    order.__name__: order
    for order in (
        remint,
        assign_now,
        cancel,
        clear_failure,
        retire,
        sign_off,
        roll_back,
        redeploy,
        schedule,
    )
}
REFUSALS = (
    authorities.Refused,
    authorities.OperationInProgress,
    operations.NotPossibleNow,
    decisions.NotPossibleNow,
    updates.NotPossibleNow,
)


def main(name, *words):
    try:
        answer = {"done": ORDERS[name](*words)}
    except REFUSALS as refusal:
        answer = {"refused": str(refusal)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
