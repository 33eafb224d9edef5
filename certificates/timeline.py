"""The timeline of an operation: what is done, where it stands, what comes."""

from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse

from certificates.models.operation import State
from certificates.standing import Standing
from certificates.wording import listed, name_of, short_text, to_the_second
from devices.standing import standing
from systemupdates.models.replication import State as ReplicationState
from zcc.templatetags.numbers import count
from zcc.templatetags.times import planned_text

# In which the devices have had their time to apply the update.
_AFTER_ASSIGNED = (State.ARMED, State.ACTIVATING)
_TAKEN_BACK = (State.CANCELLING, State.CANCEL_FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Line:
    """A line under a step; with `url` it leads somewhere, with `opens_dialog` to a dialog."""

    text: str = ""
    url: str = ""
    opens_dialog: bool = False
    # Counted down in the browser.
    until: datetime | None = None


@dataclass(frozen=True)
class Step:
    """One point of the timeline. `look`: done, now, warn, or nothing for what comes."""

    title: str
    look: str = ""
    lines: list[Line] = field(default_factory=list)
    icon: str = ""

    @property
    def is_current(self) -> bool:
        return self.look in ("now", "warn") and bool(self.icon)


class Timeline:
    """The steps of the zone's operation; it must have one."""

    def __init__(self, standing: Standing) -> None:
        assert standing.operation is not None
        self.standing, self.now = standing, standing.now
        self.operation = standing.operation

    def steps(self) -> list[Step]:
        state = self.operation.state
        if state == State.FAILED:
            return [
                self._initiated(),
                Step("Failed", "warn", self._when(State.FAILED), "x-octagon-fill"),
            ]
        if state in _TAKEN_BACK:
            return [self._initiated(), *self._assigned_if_it_was(), *self._cancel()]
        if state in (State.ROLLING_BACK, State.ROLLED_BACK):
            return [self._initiated(), self._assigned(), self._activated(), *self._rolled_back()]
        if self.operation.is_immediate and self.operation.activated_at is not None:
            return self._immediate()
        if state in (State.OVERLAP, State.COMPLETED):
            return [self._initiated(), self._assigned(), self._activated(), *self._overlap()]
        if state in (State.ARMED, State.ACTIVATING):
            before = [self._initiated(), self._replicated(), self._assigned(), self._applied()]
            return [*before, self._armed(), self._activation()]
        return [
            self._initiated(),
            self._replicated(),
            self._assigned(),
            self._applied(),
            self._activation(),
        ]

    def _immediate(self) -> list[Step]:
        """The old CA had expired: the servers switched first, then the devices are told."""
        replicated = [] if State.ASSIGNED in self.standing.events else [self._replicated()]
        steps = [self._initiated(), self._activated(), *replicated, self._assigned()]
        if self.operation.state == State.COMPLETED:
            return [*steps, Step("Old CA retired", "done", self._when(State.COMPLETED))]
        stranded = count(self.standing.stranded.number, "device")
        missing = Line(f"{stranded} to come" if self.standing.stranded.number else "all are back")
        look = "now" if self.operation.state == State.OVERLAP else ""
        return [*steps, Step("Devices come back", look, [missing], "circle-half" if look else "")]

    def _when(self, state: str) -> list[Line]:
        """When it came into a state, and who did it if it was a person."""
        event = self.standing.events.get(state)
        if event is None:
            return []
        by = [Line(f"by {name_of(event.by)}")] if event.by else []
        return [Line(short_text(event.at, now=self.now)), *by]

    def _initiated(self) -> Step:
        at = Line(short_text(self.operation.created_at, now=self.now))
        if self.operation.state == State.PREPARING:
            what = "the system update" if self.operation.is_to_external else "the new CA"
            makes = f"{self.operation.initiating_server.name} makes {what}"
            return Step("Preparing", "warn" if self._is_stuck else "now", [at, Line(makes)], "gear")
        return Step("Initiated", "done", [at, Line(self._what_was_made())])

    def _what_was_made(self) -> str:
        made = self.standing.future_certificates
        if not self.operation.is_to_external:
            return f"{count(made, 'new certificate')} created"
        here = f"{count(made, 'certificate')} of {len(self.standing.progress)}"
        return f"{here} from the external CA"

    @property
    def _is_stuck(self) -> bool:
        return bool(self.operation.problem) or self.operation.is_held

    def _replicated(self) -> Step:
        replicas = self.standing.replicas
        url = reverse("systemupdates:replication_status", args=[self.operation.update_id])
        link = Line("current replication status", url, opens_dialog=True)
        if not replicas.total:
            return Step("Replicated", "", [Line("when the content is made")])
        title = f"Replicated {replicas.available} of {replicas.total}"
        if replicas.available == replicas.total:
            return Step(title, "done", [link])
        if self.operation.state == State.REPLICATING:
            look = "warn" if self.operation.is_held else "now"
            return Step(title, look, [link, Line(self._who_is_behind())], "circle-half")
        return Step(title, "warn", [link, Line(self._who_is_behind())])

    def _who_is_behind(self) -> str:
        row = self.standing.behind
        if row is None:
            return ""
        if "Content" in row.server.roles_not_taken:
            return f"{row.server.name} has not taken up its role Content Satellite"
        if row.state == ReplicationState.FAILED:
            return f"{row.server.name} could not fetch it"
        if row.due_at > self.now and not self.operation.update.is_assigned:
            return f"{row.server.name}: next at {short_text(row.due_at, now=self.now)}"
        if standing(row.server, now=self.now).is_silent:
            return f"{row.server.name} is silent: it fetches it when it is back"
        if row.state == ReplicationState.WAITING and not row.server.is_primary_server:
            return f"{row.server.name} fetches it at its next refresh"
        return f"{row.server.name} fetches it now"

    def _assigned(self) -> Step:
        event = self.standing.events.get(State.ASSIGNED)
        if event is None:
            by_itself = Line("by itself, when all have it")
            url = reverse("certificates:assign_now", args=[self.operation.pk])
            may = self.operation.state == State.REPLICATING
            now = [Line("Assign Now", url, opens_dialog=True)] if may else []
            return Step("Assigned to all devices", "", [by_itself, *now])
        at = short_text(event.at, now=self.now)
        if event.by is None:
            return Step("Assigned", "done", [Line(at), Line("by itself, when all had it")])
        return Step(
            "Assigned", "done", [Line(f"{at}, Assign Now"), Line(f"by {name_of(event.by)}")]
        )

    def _assigned_if_it_was(self) -> list[Step]:
        return [self._assigned()] if State.ASSIGNED in self.standing.events else []

    def _ready(self) -> Line:
        readiness = self.standing.readiness
        ready = readiness.ready if readiness else 0
        return Line(f"{ready:,} of {self.standing.counts.counted:,} ready")

    def _applied(self) -> Step:
        title = "Devices apply the update"
        if self.operation.state in _AFTER_ASSIGNED:
            return Step(title, "done", [self._ready()] if self.standing.readiness else [])
        if self.operation.state != State.ASSIGNED:
            return Step(title, "", [Line("at their next refresh")])
        servers = f"{self.standing.how_many('staged_at')} of {len(self.standing.progress)} servers"
        lines = [self._ready(), Line(f"{servers} staged"), Line(self._updater())]
        if self.operation.is_held:
            return Step("Held", "warn", lines, "pause-circle-fill")
        return Step(title, "now", lines, "circle-half")

    def _updater(self) -> str:
        """Where the Certificate Updater Tool stands, which runs by itself on Primary Servers."""
        rows = [row for row in self.standing.progress if row.device.is_primary_server]
        ran = sum(row.updater_ran_at is not None for row in rows)
        failed = [row.device.name for row in rows if row.updater_problem]
        if failed:
            return f"Updater Tool failed on {listed(failed, most=2)}"
        return f"Updater Tool ran on {ran} of {len(rows)}"

    def _armed(self) -> Step:
        event = self.standing.events.get(State.ARMED)
        at = short_text(event.at, now=self.now) if event else ""
        late = len(self.standing.late_servers)
        holding = f"{self.standing.how_many('armed_at')} of {len(self.standing.progress)} servers"
        lines = [Line(at), Line(f"{holding}, {late} late" if late else holding)]
        if self.operation.state == State.ARMED:
            return Step("Armed", "now", lines, "lock-fill")
        return Step("Armed", "done", lines)

    def _activation(self) -> Step:
        at = self.operation.activate_at
        if self.operation.state == State.ACTIVATING:
            switched = self.standing.how_many("activated_at")
            of_all = Line(f"{switched} of {len(self.standing.progress)} servers switched")
            return Step("Activating", "now", [Line(to_the_second(at)), of_all], "arrow-repeat")
        if self.operation.is_held:
            return Step("Activation", "", [Line(f"planned for {planned_text(at)}"), Line("held")])
        return Step("Activation", "", [Line(planned_text(at)), Line("in", until=at)])

    def _activated(self) -> Step:
        at = self.operation.activated_at or self.operation.activate_at
        switched = self.standing.how_many("activated_at")
        of_all = f"{switched} of {len(self.standing.progress)} servers switched"
        return Step("Activated", "done", [Line(planned_text(at)), Line(of_all)])

    def _overlap(self) -> list[Step]:
        if self.operation.state == State.COMPLETED:
            return [Step("Old CA retired", "done", self._when(State.COMPLETED))]
        left = self.standing.counts.counted - self.standing.counts.successful
        knows = Line(f"{count(left, 'device')} not completed yet" if left else "all devices follow")
        return [
            Step("Overlap", "now", [Line("both CAs are trusted"), knows], "circle-half"),
            Step("Old CA retired", "", [self._retires()]),
        ]

    def _retires(self) -> Line:
        at = self.operation.retires_at
        return Line(
            f"by itself on {short_text(at, now=self.now)}" if at else "by you, not by itself"
        )

    def _rolled_back(self) -> list[Step]:
        if self.operation.state == State.ROLLED_BACK:
            return [Step("Rolled back", "done", self._when(State.ROLLED_BACK))]
        back = self.standing.how_many("rolled_back_at")
        of_all = Line(f"{back} of {len(self.standing.progress)} servers went back")
        asked = self._when(State.ROLLING_BACK)
        return [
            Step("Rolling back", "warn", [*asked[:1], of_all], "arrow-counterclockwise"),
            Step("Rolled back", "", [Line("the old CA is active again")]),
        ]

    def _cancel(self) -> list[Step]:
        state = self.operation.state
        clean = self.standing.how_many("cleaned_at")
        of_all = Line(f"{clean} of {len(self.standing.progress)} servers are clean")
        asked = self._when(State.CANCELLING)
        if state == State.CANCELLED:
            return [Step("Cancel", "done", asked), Step("Canceled", "done", self._when(state))]
        if state == State.CANCEL_FAILED:
            return [Step("Cancel failed", "warn", [*asked[:1], of_all], "x-octagon-fill")]
        return [
            Step("Canceling", "now", [*asked[:1], of_all], "arrow-counterclockwise"),
            Step("Canceled", "", [Line("the zone goes on with its CA")]),
        ]
