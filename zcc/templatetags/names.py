"""
Names, of people first: `{% load names %}`.

    {{ user|initials }}     ML
    {{ user|full_name }}    Maja Lindqvist, or the user name where no other is known
"""

from collections.abc import Sequence

from django import template
from django.contrib.auth.models import User

register = template.Library()


@register.filter
def full_name(user: User) -> str:
    """Return what to call a user."""
    return user.get_full_name() or user.get_username()


@register.filter
def initials(user: User) -> str:
    """Return two letters for the avatar."""
    if user.first_name and user.last_name:
        return (user.first_name[0] + user.last_name[0]).upper()
    return user.get_username()[:2].upper()


def in_words(names: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c", for sentences made in Python."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
