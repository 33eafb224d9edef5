"""
For pages of devices that are not ours: `{% load leaving %}`.

    {% what_it_leaves device as sentences %}

What retiring the device means for an operation it takes part in: certificates.leaving.
"""

from django import template

from certificates.leaving import what_it_leaves

register = template.Library()
register.simple_tag(what_it_leaves)
