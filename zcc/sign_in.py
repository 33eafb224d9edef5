"""
Sign in and sign out, and what the audit log says of them.

Neither a password nor what was typed as a user name is written: people type the one into the field
of the other. Who tries many names or passwords does not fill the log: of each user, and of all
names that nobody has together, MOST_FAILED failures within AXES_COOLOFF_TIME are told of, and from
which addresses sign-in was paused.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse

from zcc.ground import audit, clock

MOST_FAILED: int = settings.AXES_FAILURE_LIMIT
SIGNED_IN, SIGNED_OUT, FAILED = "Signed in", "Signed out", "Sign-in failed"
PAUSED = "Sign-in paused"
# The subject of a sign-in with a name that no user has.
NOBODY = User(pk=0, username="an unknown user")


class SignIn(LoginView):
    """The door: it lets in who has the right password, and tells the log of who has not."""

    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Let the user in."""
        response = super().form_valid(form)
        user = form.get_user()
        audit.record(SIGNED_IN, user, by=user, at=clock.now(), note=_origin(self.request))
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Say that it was wrong; a form that is not filled in is no attempt."""
        if form.non_field_errors():
            _tell_of_failure(self.request, form.cleaned_data.get("username", ""), now=clock.now())
        return super().form_invalid(form)


class SignOut(LogoutView):
    """Sign out."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the session of whoever is signed in."""
        if request.user.is_authenticated:
            by = request.user
            audit.record(SIGNED_OUT, by, by=by, at=clock.now(), note=_origin(request))
        return super().post(request, *args, **kwargs)


def _tell_of_failure(request: HttpRequest, name: str, *, now: datetime) -> None:
    user = User.objects.filter(username=name[:150]).first() or NOBODY
    what, note = FAILED, _origin(request)
    if getattr(request, "axes_locked_out", False):
        what, note = PAUSED, f"{note}; refused, whatever the password is, for 15 minutes"
    told = audit.of(user).filter(what=what, at__gt=now - settings.AXES_COOLOFF_TIME)
    lately = told.count()
    if lately >= MOST_FAILED or (what == PAUSED and told.filter(note=note).exists()):
        return
    if lately == MOST_FAILED - 1:
        note += "; more of them are not told of for 15 minutes"
    audit.record(what, user, by=None, at=now, note=note)


def _origin(request: HttpRequest) -> str:
    """Say from where, if that is known."""
    address = request.META.get("REMOTE_ADDR", "")
    return f"from {address}" if address else ""
