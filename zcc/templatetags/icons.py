"""
Icons: `{% load icons %}`.

    {% icon "house" %}               an inline SVG, hidden from assistive technology
    {% icon "arrow-repeat" "z-spin" %}   with a further class

The names are those of the files in zcc/icons (Bootstrap Icons, MIT).
"""

import re
from functools import cache
from pathlib import Path

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

FOLDER = Path(__file__).resolve().parent.parent / "icons"
SHAPES = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


@cache
def _shapes(name: str) -> SafeString:
    """Return what is drawn inside the SVG element of the icon file."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise template.TemplateSyntaxError(f"{name!r} is no icon name.")
    found = SHAPES.search((FOLDER / f"{name}.svg").read_text())
    if found is None:
        raise template.TemplateSyntaxError(f"{name}.svg is no SVG file.")
    return mark_safe(found[1].strip())  # our own files


@register.simple_tag
def icon(name: str, further_class: str = "") -> SafeString:
    """Draw an icon in the colour and size of the text around it."""
    return format_html(
        '<svg class="i{}" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{}</svg>',
        f" {further_class}" if further_class else "",
        _shapes(name),
    )
