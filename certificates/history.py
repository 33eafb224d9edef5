"""The history of an operation: every change of it, of its update, its servers and its devices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from django.db.models import Q

from certificates.models import LinkCertificate, Operation, ServerProgress, UpdaterRun
from certificates.standing import Standing
from certificates.wording import name_of, state_word, what_happened
from systemupdates.models import DeviceUpdateEvent
from zcc.ground import paging
from zcc.templatetags.times import moment_text
from zcc.templatetags.words import family, word_icon

EVENTS = 30


@dataclass(frozen=True)
class Entry:
    """One thing that happened: what, who did it, when, and the reason if there was one."""

    at: datetime
    title: str
    by: str
    family: str
    icon: str
    text: str = ""
    # What a program said, in lines; shown when it is asked for.
    said: str = ""


class StandingOf(Standing):
    """How things stood for one operation, whether it is over or not."""

    def __init__(self, operation: Operation, *, now: datetime) -> None:
        super().__init__(operation.zone, now=now)
        self.operation = operation


class History:
    """What the page of one operation shows."""

    def __init__(self, operation: Operation, query: Mapping[str, str], *, now: datetime) -> None:
        self.operation, self.query, self.now = operation, query, now

    @property
    def word(self) -> str:
        return state_word(self.operation)

    @property
    def is_moving(self) -> bool:
        return StandingOf(self.operation, now=self.now).is_moving

    @property
    def not_done(self) -> str:
        """What is said of a step that a server has not done: will it come?"""
        is_to_come = self.operation.is_live and not self.operation.is_taken_back
        return "Not yet" if is_to_come else "No"

    def entries(self) -> list[Entry]:
        """Return what became of the operation, its update and its tool, newest first."""
        found = [*self._of_operation(), *self._of_update(), *self._of_updater()]
        return sorted(found, key=attrgetter("at"))[::-1]

    def _of_operation(self) -> Iterator[Entry]:
        for event in self.operation.events.select_related("by"):
            word, text = what_happened(event)
            yield Entry(event.at, word, name_of(event.by), family(word), word_icon(word), text)

    def _of_update(self) -> Iterator[Entry]:
        for event in self.operation.update.events.select_related("by"):
            word = str(event.get_state_display())
            title = f"System update: {word.lower()}"
            yield Entry(event.at, title, name_of(event.by), family(word), word_icon(word))

    def _of_updater(self) -> Iterator[Entry]:
        """Every run of the Certificate Updater Tool on each server."""
        runs = UpdaterRun.objects.filter(progress__operation=self.operation)
        for run in runs.select_related("progress__device"):
            where, by = run.progress.device.name, name_of(None)
            if run.problem:
                title = f"The Certificate Updater Tool failed on {where}"
                more = f" Tried {run.times} times, the first at {moment_text(run.at)}."
                text = run.problem + (more if run.times > 1 else "")
                yield Entry(run.last_at, title, by, "warn", "life-preserver", text)
            else:
                title = f"The Certificate Updater Tool ran on {where}"
                yield Entry(run.at, title, by, "ok", "life-preserver", said=run.said)

    def servers(self) -> list[ServerProgress]:
        return list(self.operation.servers.select_related("device").order_by("device__name"))

    def device_events(self) -> paging.Page:
        """Return a page of what the devices did, newest first."""
        rows = DeviceUpdateEvent.objects.filter(device_update__update=self.operation.update_id)
        rows = rows.select_related("device_update__device", "by")
        return paging.cut(rows, self.query, key="at", descending=True, size=EVENTS)

    def links(self) -> list[LinkCertificate]:
        """Return the links between the new CA and those before it."""
        if self.operation.new_ca_id is None:
            return []
        old_ca, new_ca = self.operation.old_ca_id, self.operation.new_ca_id
        rows = LinkCertificate.objects.filter(
            Q(certified=new_ca, authority__generation__lte=self.operation.old_ca.generation)
            | Q(certified=old_ca, authority=new_ca)
        )
        return list(rows.select_related("certified", "authority").order_by("pk"))
