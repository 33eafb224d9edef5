"""
An update that failed for want of its content: by whose fault, and what mends it.

A device knows servers by their addresses; whoever reads of it knows them by their names.
"""

import re

from agent.content import NO_CONTENT
from devices.models import Device, Zone
from systemupdates.actions import holders
from systemupdates.models import SystemUpdate

REMEDY = "Open Content replication and Replicate now, then Redeploy."
MEND_THE_DEVICE = "On the device make space, or mend that folder, then Redeploy."
NOBODY = (
    "No server holds the content now, so the update will fail again. If a server is only away, "
    f"start it. {REMEDY} If the content is lost everywhere, cancel the operation and begin anew."
)
_ADDRESS = re.compile(r"[\w.:-]+")


def with_names(reason: str, zone: Zone) -> str:
    """Return the reason a device gave, its servers by name where they are known."""
    if not reason.startswith(NO_CONTENT):
        return reason
    servers = Device.objects.filter(zone=zone).active().content_servers()
    names = {server.address.lower(): server.name for server in servers}
    return _ADDRESS.sub(lambda found: names.get(found[0], found[0]), reason)


def warning(update: SystemUpdate) -> str:
    """Return what to know before devices start the update again, nothing if they can fetch it."""
    return "" if holders(update) else NOBODY
