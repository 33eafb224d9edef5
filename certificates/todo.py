"""What an administrator must do while an external CA signs: requests, signatures, certificates."""

from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse

from certificates import importing
from certificates.activation import recommendation
from certificates.lacking import lacking
from certificates.models import Operation
from certificates.models.operation import CANCELLABLE_STATES, CsrMode, State, WithoutCertificate
from certificates.refresh_needed import refresh_needed
from certificates.standing import Standing
from certificates.wording import day_text, follows, listed, short_text
from zcc.ground import here
from zcc.ground.situation import Answer
from zcc.templatetags.numbers import count
from zcc.templatetags.times import planned_text

_OVER = (State.CANCELLING, State.CANCEL_FAILED, State.ROLLING_BACK)


@dataclass(frozen=True)
class Todo:
    """
    One thing to do. `look`: done, now, later. With `button` it leads to `url`.

    With `devices_button` a POST to the same `url` does it at once, for who may manage devices.
    """

    look: str
    title: str
    text: str
    button: str = ""
    url: str = ""
    icon: str = ""
    is_file: bool = False
    devices_button: str = ""


@dataclass(frozen=True)
class Missing:
    """The certificates that are still to come, and by when they should be here."""

    operation: Operation
    names: list[str] = field(default_factory=list)
    by: datetime | None = None

    def is_late(self, now: datetime) -> bool:
        return self.by is not None and self.by <= now

    def task(self, standing: Standing) -> Answer:
        """Say how many are to come by when, and what it means if they come later."""
        number, names = count(len(self.names), "certificate"), listed(self.names)
        is_manual = self.operation.csr_mode == CsrMode.MANUAL
        url = "" if is_manual else reverse("certificates:import_certificate")
        what = f"Put {number} in place" if is_manual else f"Import {number}"
        if self.operation.activated_at is not None:
            more = f"{names} still shows the old one, and switches when it is here."
            return Answer("warn", f"{what}.", more, url)
        if self.operation.is_held:
            here = "it is" if len(self.names) == 1 else "they are"
            return Answer("warn", f"{what} now.", f"Once {here} here, {follows()}.", url)
        if self.by is None or self.is_late(standing.now):
            more = f"Missing: {names}. Activation {planned_text(self.operation.activate_at)}."
            return Answer("warn", f"{what} now.", more, url)
        by, activation = self._days(self.by, now=standing.now)
        have = "has" if standing.devices == 1 else "have"
        come = "it comes" if len(self.names) == 1 else "they come"
        devices = f"{count(standing.devices, 'device')} {have}"
        more = f"If {come} later, {devices} too little time before {activation}."
        if self.operation.is_same_root:
            more = f"Every device trusts this CA already. Activation {activation}."
        return Answer("next", f"{what} by {by}.", more, url)

    def _days(self, by: datetime, *, now: datetime) -> tuple[str, str]:
        """Return both dates as days; of the same day the hours matter."""
        activate_at = self.operation.activate_at
        by_day, activation = day_text(by), day_text(activate_at)
        if by_day != activation:
            return by_day, activation
        return short_text(by, now=now), short_text(activate_at, now=now)


def missing(standing: Standing) -> Missing | None:
    """Return what is missing in the zone's operation, None if nothing is."""
    operation = standing.operation
    if operation is None or not operation.is_to_external or operation.state in _OVER:
        return None
    names = [row.device.name for row in lacking(operation)]
    if not names:
        return None
    time_needed = recommendation(operation.zone, now=standing.now).total
    return Missing(operation, names, operation.activate_at - time_needed)


def todo(standing: Standing) -> list[Todo]:
    """Return what is to be done in the operation, in its order; nothing if it needs nobody."""
    operation = standing.operation
    if operation is None or operation.state in _OVER:
        return []
    if not operation.is_to_external:
        return _refresh(operation)
    lack = missing(standing)
    if lack is None and operation.state not in CANCELLABLE_STATES:
        return _refresh(operation)
    names = lack.names if lack else []
    steps = _by_hand(names) if operation.csr_mode == CsrMode.MANUAL else _automatic(standing, names)
    return [*steps, *_refresh(operation), _rest(operation, names)]


def _automatic(standing: Standing, names: list[str]) -> list[Todo]:
    operation, total = standing.operation, len(standing.progress)
    assert operation is not None
    waiting = importing.waiting(operation)
    here = total - len(names)
    made = here + len(waiting)
    all_made = made >= total
    yet = [name for name in names if name not in {row.device.name for row in waiting}]
    late = "" if all_made else f" Still to come: {listed(yet)}."
    csrs = Todo(
        "done" if all_made else "now",
        "Generate the CSRs",
        f"{made} of {total}, made by the servers themselves. Their keys never leave them.{late}",
    )
    url = reverse("certificates:download_csrs", args=[operation.pk]) if waiting else ""
    sign = Todo(
        "now" if waiting else "done" if not names else "later",
        "Have them signed by the external CA",
        f"{count(len(waiting), 'CSR')} not imported yet." if waiting else "None waits.",
        "Download all CSRs" if waiting else "",
        url,
        "file-earmark-zip",
        is_file=True,
    )
    text = "Drop any mix of files and ZIPs; each is matched to its server by its key."
    take = Todo(
        "done" if not names else "now",
        f"Import the signed certificates: {here} of {total} imported",
        f"Missing: {listed(names, most=6)}. {text}" if names else "All are here.",
        "Import Certificate" if names else "",
        reverse("certificates:import_certificate"),
        "box-arrow-in-down",
    )
    return [csrs, sign, take]


def _by_hand(names: list[str]) -> list[Todo]:
    where = "Put server.pem, with its whole chain, and key.der into the folder remint-repo of"
    here_are = here.server_names()
    servers = [f"{name} ({_folder(name, is_here=name in here_are)})" for name in names]
    text = f"{where} {listed(servers, most=6)}." if names else "All are in place."
    title = "Put the signed certificates into remint-repo"
    return [Todo("now" if names else "done", title, text)]


def _folder(name: str, *, is_here: bool) -> str:
    """Say where it is if the server's home is on this host."""
    return str(here.home(name).path / "remint-repo") if is_here else "in its home"


def _refresh(operation: Operation) -> list[Todo]:
    number = refresh_needed(operation).count()
    if not number:
        return []
    url = reverse("certificates:refresh_needed", args=[operation.pk])
    has = "has" if operation.activated_at else "will have"
    text = f"A Primary Server's certificate {has} another subject."
    title = f"Refresh needed: {count(number, 'device')}"
    return [Todo("now", title, text, "Show them", url, devices_button="Refresh all")]


def _rest(operation: Operation, names: list[str]) -> Todo:
    text = "Replication, assignment and activation follow by themselves."
    if names and operation.is_held:
        return Todo("later", "Nothing more", f"Once nothing holds the operation, {follows()}.")
    if names and operation.state in CANCELLABLE_STATES:
        at = planned_text(operation.activate_at)
        holds = operation.without_certificate == WithoutCertificate.HOLD
        then = (
            "is held until every server has its certificate."
            if holds
            else "goes on without them; they stay on their old certificate until theirs is here."
        )
        text = f"{text} The activation, {at}, {then}"
    return Todo("later", "Nothing more", text)
