"""
Parts of a page that keep themselves current.

A part asks for itself anew every few seconds and sends along the digest of what it shows. As long
as nothing has changed the answer is 204 and the page is not touched: an open row, the focus and
what a person has marked stay as they are.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

QUICK, SLOW = 2, 10  # seconds: while something moves; to notice that something has begun
# Times that page.js keeps true by itself, and positions that move with every second.
_VOLATILE = re.compile(r'(data-(?:ago|timer)\b[^>]*>)[^<]*|title="[^"]*"(?= data-ago)')


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a page: its id, the address it is fetched from, how often, and its content."""

    id: str
    url: str
    template: str
    context: Mapping[str, Any]
    seconds: int


def render(request: HttpRequest, part: Part) -> SafeString:
    """Return the part as it stands in its page."""
    return _wrapped(request, part, _content(request, part))


def answer(request: HttpRequest, part: Part) -> HttpResponse:
    """Answer the part's own question whether there is anything new."""
    content = _content(request, part)
    if request.GET.get("seen") == _digest(part, content):
        return HttpResponse(status=204)
    return HttpResponse(_wrapped(request, part, content))


def _content(request: HttpRequest, part: Part) -> SafeString:
    return render_to_string(part.template, dict(part.context), request)


def _wrapped(request: HttpRequest, part: Part, content: SafeString) -> SafeString:
    address = f"{part.url}{'&' if '?' in part.url else '?'}seen={_digest(part, content)}"
    values = {"part": part, "address": address, "content": content}
    return render_to_string("certificates/_live.html", values, request)


def _digest(part: Part, content: str) -> str:
    shown = f"{part.seconds}\n{_VOLATILE.sub(_without_text, content)}"
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _without_text(found: re.Match[str]) -> str:
    return found[1] or ""
