"""
Who may do what in the console.

Every page needs a signed-in user (LoginRequiredMiddleware), and whoever is signed in may look.
Whatever changes something names the right it needs: `@access.needs("manage_certificates")`.
"""

from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from django.contrib.auth.decorators import permission_required
from django.http import HttpResponseBase

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
Right = Literal["manage_certificates", "back_up_ca", "deploy_updates", "manage_devices"]


def needs(right: Right) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a view that answers 403 to a signed-in user without `right`."""
    return permission_required(f"ground.{right}", raise_exception=True)


def has(user: object, right: Right) -> bool:
    """Say whether `user` has `right`, for buttons that are shown disabled without it."""
    return bool(user.has_perm(f"ground.{right}"))  # type: ignore[attr-defined]
