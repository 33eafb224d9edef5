"""
Dialogs: a form in a <dialog>, fetched and posted by htmx.

A dialog is a view like any other: it has its own URL, GET shows it, POST submits it. Only its two
responses are special, and they are made here.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render, resolve_url


def show(
    request: HttpRequest,
    template: str,
    form: BaseForm | None = None,
    context: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Show the dialog; with status 422 if it was submitted and is not valid."""
    refused = form is not None and form.is_bound and not form.is_valid()
    values = {"form": form, **(context or {})}
    return render(request, template, values, status=422 if refused else 200)


def close(*, to: str) -> HttpResponse:
    """Close the dialog by loading the page `to` (a URL or a URL's name) anew."""
    return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(to)})


class RedirectMiddleware:
    """
    Makes one kind of redirect of the other, by who asked.

    A form posted without htmx gets 303 where htmx gets `HX-Redirect`. An htmx request whose session
    has ended is sent to the sign-in page, which must replace the page and not fill the dialog.
    From there the way back is to the page, never to where a form was sent: that can only be posted.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, with the redirect that its sender understands."""
        response = self.get_response(request)
        is_htmx = request.headers.get("HX-Request") == "true"
        if not is_htmx and "HX-Redirect" in response.headers:
            return _see_other(response.headers["HX-Redirect"])
        if not _is_to_sign_in(response):
            return response
        is_read = request.method in ("GET", "HEAD")
        if not is_read:
            messages.warning(request, "You were signed out, so nothing was done. Do it once more.")
        if is_htmx:
            return close(to=redirect_to_login(_page_of(request)).url)
        return response if is_read else redirect_to_login(_page_of(request))


def _see_other(url: str) -> HttpResponse:
    response = HttpResponseRedirect(url)
    response.status_code = 303
    return response


def _is_to_sign_in(response: HttpResponseBase) -> bool:
    location = response.headers.get("Location", "")
    return response.status_code == 302 and location.startswith(resolve_url(settings.LOGIN_URL))


def _page_of(request: HttpRequest) -> str:
    """Return the path of the page that the request was sent from: the way back after sign-in."""
    page = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    parts = urlsplit(page)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))
