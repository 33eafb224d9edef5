"""
Filters of Status by Device that an app above this one adds, as `only=` in the address.

Who is at risk is not known here. `zcc.urls`, which knows all apps, fills ONLY.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from systemupdates.models import SystemUpdate


@dataclass(frozen=True)
class Further:
    """What its chip says, and whether a row of the update is left by it."""

    word: str
    rows: Callable[[SystemUpdate, datetime], Q]


ONLY: dict[str, Further] = {}
