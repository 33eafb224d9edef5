"""
For pages of devices that are not ours: `{% load device_updates %}`.

    {% with_updates devices as pairs %}{% for device, update in pairs %}

Pairs each device with its row of the newest update that is assigned, or None. One query.

    {% open_update device as open %}

Is what the device has still to do in the newest update: systemupdates.still_to_do.
"""

from collections.abc import Sequence

from django import template

from devices.models import Device
from systemupdates import still_to_do
from systemupdates.models import DeviceUpdate
from systemupdates.models.update import State

register = template.Library()
register.simple_tag(still_to_do.open_update)


@register.simple_tag
def with_updates(devices: Sequence[Device]) -> list[tuple[Device, DeviceUpdate | None]]:
    """Pair each device with how far it is in the newest assigned update."""
    rows = DeviceUpdate.objects.filter(
        device__in=[device.pk for device in devices], update__state=State.ASSIGNED
    ).order_by("update_id")
    newest = {row.device_id: row for row in rows}
    return [(device, newest.get(device.pk)) for device in devices]
