"""
Addresses of lists: `{% load addresses %}`. Filters, sorting and paging are all in the address.

    {% list_with "role" "content" %}   this list with that parameter, from its first page
    {% list_with "role" "" %}          without it
"""

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()

CURSORS = ("after", "before")


@register.simple_tag(takes_context=True)
def list_with(context: Mapping[str, Any], name: str, value: str) -> str:
    """Return the address of this list with one parameter set or taken out."""
    query = context["request"].GET.copy()
    for key in (name, *CURSORS):
        query.pop(key, None)
    if value:
        query[name] = value
    return f"?{query.urlencode()}"
