"""What a page says of a registration key: `{% load keys %}`."""

from datetime import datetime

from django import template

from devices.models import RegistrationKey

register = template.Library()


@register.filter
def in_force(key: RegistrationKey, now: datetime) -> bool:
    """Return whether a device can still join with the key."""
    return key.is_in_force(now)
