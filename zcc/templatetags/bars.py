"""
Bars drawn as SVG, all positions as attributes in percent: `{% load bars %}`.

    {% validity_bar valid_from expires_at %}                 a certificate's life, with today
    {% validity_bar valid_from expires_at activate_at=at %}  and where a new one takes over
    {% mini_bar 68 %}   {% mini_bar 88 "warn" %}             a thin one: percent, family
    {% lifetime_bar valid_from expires_at %}                 a thin one: how much of it is over
    {% stack_bar counts "rd" %}                              the readiness of devices; `counts` maps
                                                             status words to numbers, "rd" is the id
                                                             of the heading that names it

Times are compared with `now` of the template's context.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from zcc.templatetags.times import current, day_text, days_left_text

register = template.Library()

# From 90 days on the console warns that a CA ends (spec.md, section 10).
WARNING = timedelta(days=90)
SMALLEST = 0.7  # percent: one device among 100,000 can still be seen
GAP = 0.25
# In the order of the design: what is done first, what needs someone last.
STACK = {
    "Update Completed": "g-ok",
    "Pending Certificate Activation": "g-wait",
    "Update in Progress": "g-run",
    "Download in Progress": "g-run2",
    "Update Assigned": "g-mute",
    "Update Failed": "g-bad",
    "Update Ignored": "g-ign",
}


def _position(at: datetime, start: datetime, end: datetime) -> float:
    share = (at - start) / (end - start) if end > start else 1.0
    return round(min(max(share, 0.0), 1.0) * 100, 2)


@register.inclusion_tag("components/_validity.html", takes_context=True)
def validity_bar(
    context: Mapping[str, Any],
    valid_from: datetime,
    expires_at: datetime,
    activate_at: datetime | None = None,
) -> dict[str, object]:
    """Draw the life of a certificate: what is over, today, the time in which it is a worry."""
    now = current(context)
    warning = _position(expires_at - WARNING, valid_from, expires_at)
    today = _position(now, valid_from, expires_at)
    return {
        "first": day_text(valid_from),
        "last": day_text(expires_at),
        "today": day_text(now),
        "left": days_left_text(expires_at, now=now),
        "elapsed": today,
        "is_worry": now > expires_at - WARNING,
        "warning": warning,
        "warning_width": round(100 - warning, 2),
        "anchor": _anchor(today),
        "activation": activate_at and _position(activate_at, valid_from, expires_at),
        "activation_anchor": _anchor(_position(activate_at, valid_from, expires_at))
        if activate_at
        else "",
        "activation_day": day_text(activate_at).rpartition(" ")[0] if activate_at else "",
    }


def _anchor(percent: float) -> str:
    """Which end of a text stands at its position, so that it stays inside the bar."""
    if percent < 15:
        return "start"
    return "end" if percent > 85 else "middle"


@register.simple_tag
def mini_bar(percent: float, family: str = "") -> SafeString:
    """Draw a thin bar; the number beside it says the same."""
    return format_html(
        '<svg class="z-mini" aria-hidden="true" focusable="false">'
        '<rect class="t" width="100%" height="4" rx="2"/>'
        '<rect class="e{}" width="{}%" height="4" rx="2"/></svg>',
        f" is-{family}" if family else "",
        percent,
    )


@register.simple_tag(takes_context=True)
def lifetime_bar(
    context: Mapping[str, Any], valid_from: datetime, expires_at: datetime
) -> SafeString:
    """Draw how much of a certificate's life is over, in the colour of what is left."""
    now = current(context)
    family = "bad" if now >= expires_at else "warn" if now > expires_at - WARNING else ""
    return mini_bar(_position(now, valid_from, expires_at), family)


@register.simple_tag
def stack_bar(counts: Mapping[str, int], heading: str) -> SafeString:
    """Draw one rectangle a status, in the order of the design, each wide enough to be seen."""
    shown = [(word, counts[word]) for word in STACK if counts.get(word)]
    rects = format_html_join(
        "",
        '<rect class="{}" x="{}%" width="{}%" height="14" rx="2"><title>{}: {}</title></rect>',
        (
            (STACK[word], x, width, word, f"{number:,}")
            for (word, number), (x, width) in zip(shown, _widths(shown), strict=True)
        ),
    )
    return format_html(
        '<svg class="z-stack" role="img" aria-labelledby="{}">{}{}</svg>',
        heading,
        PATTERNS,
        rects,
    )


def _widths(shown: list[tuple[str, int]]) -> list[tuple[float, float]]:
    """Return start and width of each part, in percent; small ones are lent some by the largest."""
    room = 100 - GAP * max(len(shown) - 1, 0)
    total = sum(number for _, number in shown) or 1
    widths = [max(number / total * room, SMALLEST) for _, number in shown]
    if widths:
        widths[widths.index(max(widths))] -= sum(widths) - room
    starts = [sum(widths[:at]) + GAP * at for at in range(len(widths))]
    return [(round(x, 2), round(width, 2)) for x, width in zip(starts, widths, strict=True)]


# Download is striped and Ignored hatched, so that no two parts differ by colour alone.
PATTERNS = mark_safe(
    "<defs>"
    '<pattern id="zrun2" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="#5aa3e0"/><rect width="2" height="5" fill="#b9d9f4"/>'
    "</pattern>"
    '<pattern id="zign" width="5" height="5" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="5" height="5" fill="#aab4c0"/>'
    '<rect width="2" height="5" fill="#687485"/></pattern>'
    "</defs>"
)
