"""What the page of a rehearsal says: how far each device is, who passed, what was live."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median

from certificates.models import Rehearsal, RehearsalDevice, RehearsalEvent
from certificates.models.rehearsal import State
from certificates.wording import listed, name_of
from zcc.ground import paging
from zcc.templatetags.numbers import count
from zcc.templatetags.words import family, word_icon

# In the order in which devices take them.
_STEPS = (
    ("Cleaned up", "cleaned_at"),
    ("Switched", "switched_at"),
    ("Proven", "proven_at"),
    ("Trusts", "trusted_at"),
    ("Told", "told_at"),
)
_FAMILIES = {
    State.FINISHED: ("ok", "check-circle-fill"),
    State.CANCELLED: ("mute", "slash-circle"),
    State.FAILED: ("bad", "x-octagon-fill"),
}


@dataclass(frozen=True)
class Progress:
    """How far a device is: the word, since when, and what is wrong, if something is."""

    pk: int  # of the device
    device: object
    word: str
    at: datetime | None
    passed: bool
    why: str
    took: timedelta | None


@dataclass(frozen=True)
class Entry:
    """One change of the rehearsal, as the history shows it."""

    at: datetime
    title: str
    by: str
    family: str
    icon: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """Whether anything live was touched, in a sentence; checked, not taken for granted."""

    family: str
    say: str
    more: str


class Report:
    """A rehearsal as it stands, and its result when it is over."""

    def __init__(self, row: Rehearsal, query: Mapping[str, str], *, now: datetime) -> None:
        self.row, self.query, self.now = row, query, now

    @property
    def word(self) -> str:
        return str(self.row.get_state_display())

    @property
    def family(self) -> str:
        return self._look[0]

    @property
    def icon(self) -> str:
        return self._look[1]

    @cached_property
    def _look(self) -> tuple[str, str]:
        if self.row.state == State.FINISHED and len(self.passed) < len(self.devices):
            return "warn", "exclamation-triangle-fill"
        return _FAMILIES.get(State(self.row.state), ("run", "check2-circle"))

    @property
    def is_server_behind(self) -> str:
        """Say so if it is over, and the server has not destroyed its part."""
        if self.row.is_open or self.row.files_destroyed_at is not None:
            return ""
        return f"{self.row.server.name} has not destroyed the throw-away certificate yet."

    @property
    def headline(self) -> str:
        """Return where it stands, in a sentence."""
        total, passed = len(self.devices), len(self.passed)
        return {
            State.PREPARING: f"{self.row.server.name} makes the throw-away CA.",
            State.TOLD: "The devices are told of the throw-away CA, and each connects by it alone.",
            State.ACTIVATED: "The throw-away CA is activated, and each device connects once more.",
            State.CLEANING: "Everything that the rehearsal made is being removed.",
            State.FINISHED: f"{passed} of {count(total, 'device')} passed the rehearsal.",
            State.CANCELLED: "The rehearsal was canceled.",
            State.FAILED: "The rehearsal could not be done.",
        }[State(self.row.state)]

    @cached_property
    def devices(self) -> list[Progress]:
        rows = self.row.devices.select_related("device").order_by("device__name", "pk")
        return [self._progress(row) for row in rows]

    @cached_property
    def page(self) -> paging.Page:
        """The devices that the address asks for, a page at a time."""
        rows = self.row.devices.select_related("device")
        page = paging.cut(rows, self.query, key="device__name")
        return replace(page, rows=[self._progress(row) for row in page.rows])

    @property
    def passed(self) -> list[Progress]:
        return [row for row in self.devices if row.passed]

    @property
    def times(self) -> str:
        """How long devices took from being told to the proof, once there is one."""
        took = {row.device: row.took for row in self.devices if row.took is not None}
        if not took:
            return ""
        slowest = max(took, key=lambda device: took[device])
        middle = median(one.total_seconds() for one in took.values())
        return (
            f"From being told to the proof: {middle:.1f} s in the median; the slowest, "
            f"{slowest}, took {took[slowest].total_seconds():.1f} s."
        )

    def entries(self) -> list[Entry]:
        """Return what happened, newest first."""
        events = self.row.events.select_related("by").order_by("-at", "-pk")
        return [self._entry(event) for event in events]

    @cached_property
    def verdict(self) -> Verdict | None:
        """Compare what was live before and after; None as long as it is not over."""
        if self.row.is_open:
            return None
        changed = [*self._changed_in_zone(), *self._changed_on_devices()]
        if changed:
            say = "Something live is not as it was before."
            more = (
                f"Changed: {listed(changed, most=10)}. A rehearsal does not do that; the history "
                "of operations and the pages of the servers say what did."
            )
            return Verdict("warn", say, more)
        number = self.row.devices.exclude(trust_after="").count()
        more = (
            f"Compared before and after: trust manifest (epoch {self.row.after['epoch']}), "
            f"{count(len(self.row.after['roots']), 'root')}, the certificates of "
            f"{count(len(self.row.after['certificates']), 'server')}, and the trust file of "
            f"{count(number, 'device')}."
        )
        return Verdict("ok", "Nothing live was touched.", more)

    def _changed_in_zone(self) -> list[str]:
        before, after = self.row.before, self.row.after
        words = {"epoch": "the trust manifest", "roots": "the CAs that are trusted"}
        found = [word for key, word in words.items() if before[key] != after[key]]
        servers = sorted({*before["certificates"], *after["certificates"]})
        return found + [
            f"the certificate of {name}"
            for name in servers
            if before["certificates"].get(name) != after["certificates"].get(name)
        ]

    def _changed_on_devices(self) -> list[str]:
        rows = self.row.devices.select_related("device").order_by("device__name")
        changed = [row.device.name for row in rows if row.trust_before != row.trust_after]
        return [f"the trust file of {name}" for name in changed]

    def _progress(self, row: RehearsalDevice) -> Progress:
        found = [(word, getattr(row, at)) for word, at in _STEPS if getattr(row, at) is not None]
        word, at = found[0] if found else ("Not told", None)
        passed = row.proven_at is not None and row.switched_at is not None
        took = row.proven_at - row.told_at if row.proven_at and row.told_at else None
        why = "" if passed else self._why_not(row)
        return Progress(row.device_id, row.device.name, word, at, passed, why, took)

    def _why_not(self, row: RehearsalDevice) -> str:
        """Return why the device has not passed, as far as it is known."""
        state = State(self.row.state)
        if row.problem:
            return row.problem
        if state in (State.PREPARING, State.TOLD, State.ACTIVATED):
            return ""
        if row.told_at is None:
            return "It did not check in. Start its agent, or look at its network."
        if self.row.outcome != State.FINISHED:
            return "The rehearsal ended before."
        if row.proven_at is None:
            return "It was told, and has not reported a connection by the throw-away CA in time."
        return "It has not reported a connection after the activation in time."

    def _entry(self, event: RehearsalEvent) -> Entry:
        word = str(event.get_state_display())
        return Entry(event.at, word, name_of(event.by), family(word), word_icon(word), event.note)
