"""The Satellite roles: what an administrator gives, and what this installation can take up."""

from __future__ import annotations

from collections.abc import Sequence

ROLES = ("content", "authentication")
NEEDS_CRYPTOGRAPHY = "The role authentication needs the cryptography package of Python."


def able(given: Sequence[object], *, authentication: bool) -> list[str]:
    """Return the roles of `given` that can be taken up; `authentication` says whether that can."""
    known = [role for role in ROLES if role in given]
    return known if authentication else [role for role in known if role != "authentication"]


def problem(given: Sequence[object], taken: Sequence[str]) -> str:
    """Return why a role of `given` is not taken up, an empty text if each is."""
    return NEEDS_CRYPTOGRAPHY if "authentication" in given and "authentication" not in taken else ""
