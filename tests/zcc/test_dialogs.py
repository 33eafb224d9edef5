"""Dialogs answer htmx in its way and a plain form in the browser's."""

import pytest
from django import forms
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.test import Client, RequestFactory

from zcc.ground import access, dialogs

HTMX = {"HTTP_HX_REQUEST": "true"}


class NameForm(forms.Form):
    """A form with something to get wrong."""

    name = forms.CharField()


@pytest.fixture
def through():
    """Send a response through the middleware, as the answer to a request of this kind."""

    def through(response, **headers):
        middleware = dialogs.RedirectMiddleware(lambda request: response)
        return middleware(RequestFactory().get("/dialog", **headers))

    return through


@pytest.mark.parametrize(
    ("form", "status"),
    [(None, 200), (NameForm(), 200), (NameForm({"name": ""}), 422), (NameForm({"name": "a"}), 200)],
)
def test_dialog_is_shown_again_with_422_when_it_is_wrong(form, status, settings):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"a.html": "{{ form }}{{ more }}"})
                ]
            },
        }
    ]

    response = dialogs.show(RequestFactory().get("/"), "a.html", form, {"more": "and more"})

    assert response.status_code == status
    assert "and more" in response.text


def test_closed_dialog_has_htmx_load_the_page(through):
    response = through(dialogs.close(to="/certificates/"), **HTMX)

    assert (response.status_code, response["HX-Redirect"]) == (204, "/certificates/")


def test_closed_dialog_is_an_ordinary_redirect_without_htmx(through):
    response = through(dialogs.close(to="/certificates/"))

    assert (response.status_code, response["Location"]) == (303, "/certificates/")


def test_dialog_of_an_ended_session_leads_to_the_sign_in_page_and_back(through):
    response = through(
        HttpResponseRedirect("/login/?next=/dialog"),
        **HTMX,
        HTTP_HX_CURRENT_URL="https://127.0.0.1:7443/certificates/?page=2",
    )

    assert response.status_code == 204
    assert response["HX-Redirect"] == "/login/?next=/certificates/%3Fpage%3D2"


@pytest.mark.django_db
def test_button_of_an_ended_session_leads_back_to_its_page(client):
    User.objects.create_user("alice", password="a long word")

    response = client.post(
        "/system-updates/1/refresh/", HTTP_REFERER="https://zone.test:7443/devices/?q=a"
    )

    assert response.url == "/login/?next=/devices/%3Fq%3Da"
    signed_in = client.post(response.url, {"username": "alice", "password": "a long word"})
    assert signed_in.url == "/devices/?q=a"
    text = client.get(signed_in.url).text
    assert "You were signed out, so nothing was done. Do it once more." in text


def test_other_redirects_are_left_alone(through):
    assert through(HttpResponseRedirect("/devices/"), **HTMX).status_code == 302


@access.needs("manage_certificates")
def change_something(request):
    """Stands for a view that needs a right."""
    return HttpResponse()


@pytest.mark.django_db
def test_right_is_needed_and_enough():
    bob = User.objects.create_user("bob")
    request = RequestFactory().post("/")
    request.user = bob

    with pytest.raises(PermissionDenied):
        change_something(request)

    bob.user_permissions.add(Permission.objects.get(codename="manage_certificates"))
    request.user = User.objects.get(pk=bob.pk)
    assert access.has(request.user, "manage_certificates")
    assert change_something(request).status_code == 200


def test_nobody_has_no_right():
    assert not access.has(AnonymousUser(), "manage_certificates")


@pytest.mark.django_db
def test_health_answers_anyone_and_tells_nothing():
    response = Client().get("/health")

    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "default-src 'none'" in response["Content-Security-Policy"]
