"""
Live parts: a piece of a page that is inside it at first and asks for itself alone from then on.

A `Part` sends along the digest of what it shows. As long as nothing has changed the answer is 204
and the page is not touched: an open row, the focus and what a person has marked stay as they are.
A partial of its own that uses `show` is simpler: one element with data-live, an id and, as long as
there is something to wait for, hx-get, hx-trigger="every 5s" and hx-swap="outerHTML".
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render as render_page
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString

# Seconds: while something moves; everywhere else, so that a change shows within 5 s.
QUICK, STEADY = 2, 5
# Times that page.js keeps true by itself, positions that move with every second, and the token of
# a form, which is masked anew each time.
_VOLATILE = re.compile(
    r'(data-(?:ago|timer)\b[^>]*>)[^<]*|title="[^"]*"(?= data-ago)'
    r'|(name="csrfmiddlewaretoken" value=")[^"]*'
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a page: its id, the address it is fetched from, how often, and its content."""

    id: str
    url: str
    template: str
    context: Mapping[str, Any]
    seconds: int


def address(name: str, query: Mapping[str, str], *args: object) -> str:
    """Return the address of a view, with the query that says what the part shows."""
    url = reverse(name, args=args)
    return f"{url}?{urlencode(query)}" if query else url


def render(request: HttpRequest, part: Part) -> SafeString:
    """Return the part as it stands in its page."""
    return _wrapped(request, part, _content(request, part))


def answer(request: HttpRequest, part: Part) -> HttpResponse:
    """Answer the part's own question whether there is anything new."""
    content = _content(request, part)
    if request.GET.get("seen") == _digest(part, content):
        return HttpResponse(status=204)
    return HttpResponse(_wrapped(request, part, content) + badges(request))


def _content(request: HttpRequest, part: Part) -> SafeString:
    return render_to_string(part.template, dict(part.context), request)


def _wrapped(request: HttpRequest, part: Part, content: SafeString) -> SafeString:
    asked_at = f"{part.url}{'&' if '?' in part.url else '?'}seen={_digest(part, content)}"
    values = {"part": part, "address": asked_at, "content": content}
    return render_to_string("components/_live.html", values, request)


def _digest(part: Part, content: str) -> str:
    shown = f"{part.seconds}\n{_VOLATILE.sub(_without_text, content)}"
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _without_text(found: re.Match[str]) -> str:
    return found[1] or found[2] or ""


def show(request: HttpRequest, *, page: str, part: str, context: Mapping[str, Any]) -> HttpResponse:
    """Answer htmx with the template `part`, a browser with the template `page`."""
    is_htmx = request.headers.get("HX-Request") == "true"
    response = render_page(request, part if is_htmx else page, dict(context))
    if is_htmx:
        response.write(badges(request))
    patch_vary_headers(response, ["HX-Request"])  # both have one address
    return response


def badges(request: HttpRequest) -> SafeString:
    """Return what goes with an answer of a live part: the numbers in the navigation."""
    return render_to_string("components/_badges.html", {}, request)
