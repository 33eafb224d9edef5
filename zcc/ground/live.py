"""
Live parts: a partial that is inside its page at first and asks for itself alone from then on.

The partial is one element with data-live, an id and, as long as there is something to wait for,
hx-get, hx-trigger="every 5s" and hx-swap="outerHTML".
"""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def show(request: HttpRequest, *, page: str, part: str, context: Mapping[str, Any]) -> HttpResponse:
    """Answer htmx with the template `part`, a browser with the template `page`."""
    is_htmx = request.headers.get("HX-Request") == "true"
    response = render(request, part if is_htmx else page, dict(context))
    patch_vary_headers(response, ["HX-Request"])  # both have one address
    return response
