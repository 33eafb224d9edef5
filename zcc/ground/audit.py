"""
The audit log: who did what in the zone, when, and what came of it; and who signed in.

`record` is its only writer. Actions call it in the transaction of their change, so that there is no
change without its event, and no event without its change. Nothing secret is written: names and
settings, never a key, a link or a token.

An event names its subject by kind and number, and keeps the name it had: what is deleted is still
told of.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, transaction

from zcc.ground.models import LONGEST, LONGEST_SUBJECT, AuditEvent

# What one call deletes at most of what is older than settings.ZCC_AUDIT_KEEP: more than one call
# usually writes, so that the log does not grow, and little enough that nobody waits for it.
SWEPT = 200
# Of the many that one event tells of, so many are named.
NAMED = 8


def record(
    what: str,
    *subjects: models.Model,
    by: Any,
    at: datetime,
    before: object = "",
    after: object = "",
    note: str = "",
    is_part: bool = False,
) -> None:
    """
    Write one event for each subject; `by` is the administrator, None the software or a device.

    `is_part`: another event tells of the whole act, and these are for the subjects' own histories.
    Events that have been kept long enough go with it, the oldest first.
    """
    events = [
        AuditEvent(
            at=at,
            by=by if getattr(by, "pk", None) else None,
            what=what,
            kind=kind_of(subject),
            subject_id=subject.pk,
            subject=name_of(subject)[:LONGEST_SUBJECT],
            before=_cut(before),
            after=_cut(after),
            note=_cut(note),
            is_part=is_part,
        )
        for subject in subjects
    ]
    with transaction.atomic():
        AuditEvent.objects.bulk_create(events)
        _sweep(before=at - settings.ZCC_AUDIT_KEEP)


def of(subject: models.Model) -> "models.QuerySet[AuditEvent]":
    """Return what was done to the subject, with who did it."""
    rows = AuditEvent.objects.filter(kind=kind_of(subject), subject_id=subject.pk)
    return rows.select_related("by")


def kind_of(subject: models.Model | type[models.Model]) -> str:
    """Return by which word the log knows subjects of this model."""
    return str(subject._meta.model_name)


def name_of(subject: models.Model) -> str:
    """Return what the subject is called: by its path, its name, or what it is."""
    if called := getattr(subject, "path", "") or getattr(subject, "name", ""):
        return str(called)
    if isinstance(subject, AbstractBaseUser):
        return subject.get_username()
    kind = getattr(subject, "get_kind_display", None)
    return str(kind() if kind else subject._meta.verbose_name)


def listed(values: Iterable[object]) -> str:
    """Return "a, b", and "none" when there is nothing."""
    return ", ".join(str(value) for value in values) or "none"


def first_of(values: Iterable[object]) -> str:
    """Return the first of many with the number of the others, "a, b and 98 more"; all of few."""
    chosen = [str(value) for value in values]
    if len(chosen) <= NAMED:
        return listed(chosen)
    return f"{', '.join(chosen[:NAMED])} and {len(chosen) - NAMED:,} more"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def _sweep(*, before: datetime) -> None:
    old = AuditEvent.objects.filter(at__lt=before).order_by("at", "pk")
    if numbers := list(old.values_list("pk", flat=True)[:SWEPT]):
        AuditEvent.objects.filter(pk__in=numbers).delete()
