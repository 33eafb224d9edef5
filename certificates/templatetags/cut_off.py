"""
For pages of devices that are not ours: `{% load cut_off %}{% why_cut_off device now as why_not %}`.

Why a device that is silent cannot come back by itself, as a sentence; nothing if it can, for all
that is known here.
"""

from datetime import datetime

from django import template

from certificates import mobiles_to_enrol
from certificates.cut_off import trusts_none
from devices.models import Device

register = template.Library()


@register.simple_tag
def why_cut_off(device: Device, now: datetime) -> str:
    """Return why waiting for the device does not help."""
    if device.is_mobile:
        return mobiles_to_enrol.why(device, now=now)
    if trusts_none(device):
        return "It trusts none of the zone's CAs, so it refuses every server."
    return ""
