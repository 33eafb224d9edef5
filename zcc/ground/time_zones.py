"""
Times are shown in the administrator's time zone: the one of ZCC_TIME_ZONE, else the browser's own.

theme.js tells the browser's zone in a cookie. What is no time zone here leaves the default.
"""

from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

COOKIE = "zcc_time_zone"
LONGEST = 64


class TimeZoneMiddleware:
    """Lets a request be answered in the time zone of who asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request in its zone, whatever zone this thread had before."""
        told = None if settings.TIME_ZONE_IS_FIXED else known(request.COOKIES.get(COOKIE, ""))
        with timezone.override(told):
            return self.get_response(request)


def known(name: str) -> ZoneInfo | None:
    """Return the time zone of that name, None if there is none."""
    return _load(name) if 0 < len(name) <= LONGEST else None


@lru_cache(maxsize=600)
def _load(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such zone, a folder, a name that is a path
        return None
