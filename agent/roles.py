"""The Satellite roles: what an administrator gives, and what this installation can take up."""

from __future__ import annotations

import sys
from collections.abc import Sequence

if sys.version_info >= (3, 11):  # noqa: UP036 - the file runs on older ones, too
    try:
        from agent import satellite as satellite
    except ImportError:  # it needs a package that plain devices do not have
        satellite = None  # type: ignore[assignment]
else:  # what it imports does not run there
    satellite = None

ROLES = ("content", "authentication")
NEEDS_CRYPTOGRAPHY = (
    "The role authentication needs Python 3.11 or later with a recent cryptography package: "
    "python3 -m pip install --upgrade cryptography. Then start the agent again."
)
TRIES_AGAIN = "The agent tries again by itself."


def can_authenticate() -> bool:
    """Return whether what the role authentication needs is installed."""
    return satellite is not None


def take_up(given: Sequence[object], *, authentication: bool) -> tuple[list[str], str]:
    """
    Return the roles of `given` that can be taken up, and why one is not, or an empty text.

    `authentication` says whether that role can be.
    """
    known = [role for role in ROLES if role in given]
    if "authentication" not in known or authentication:
        return known, ""
    return [role for role in known if role != "authentication"], NEEDS_CRYPTOGRAPHY
