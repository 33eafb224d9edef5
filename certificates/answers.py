"""The three answers that Configuration > Certificates opens with."""

from datetime import timedelta

from django.urls import reverse

from certificates.attention import EXPIRY_WARNING, NeedsAttention
from certificates.devices_at_risk import AtRisk
from certificates.late_content import late_content
from certificates.models import CertificateAuthority, Operation, Rehearsal
from certificates.models.operation import State
from certificates.outdated import outdated_servers
from certificates.server_rows import ServerRow
from certificates.standing import Standing
from certificates.todo import missing
from certificates.wording import day_text, listed, short_text, state_word
from devices.listing import silent_url
from devices.standing import MEANING
from zcc.ground.situation import Answer, Answers
from zcc.templatetags.numbers import count
from zcc.templatetags.times import coarse, planned_text, span, until_text


def answers(
    standing: Standing, servers: list[ServerRow], at_risk: AtRisk, needs: NeedsAttention
) -> Answers:
    """Return whether the zone is all right, what is happening, and what must be done next."""
    return Answers(
        needs.but_silent(_all_right(standing, servers)),
        _happening(standing),
        _next(standing, at_risk) or needs.first() or _in_peace(standing),
    )


def _all_right(standing: Standing, servers: list[ServerRow]) -> Answer:
    authority, now = standing.authority, standing.now
    if authority is None or authority.expires_at is None:
        return Answer("mute", "This zone has no certificate authority yet.")
    if authority.is_expired(now):
        more = "Devices and servers refuse each other until it is replaced."
        return Answer("bad", "The Zone CA has expired.", more)
    expired = [row.device.name for row in servers if row.is_expired]
    if expired:
        what = "certificate" if len(expired) == 1 else "certificates"
        verb = "has" if len(expired) == 1 else "have"
        return Answer("bad", f"The {what} of {listed(expired)} {verb} expired.")
    if authority.expires_at <= now + EXPIRY_WARNING and standing.operation is None:
        left = (
            span(authority.expires_at - now)
            if authority.expires_at - now < timedelta(days=1)
            else ""
        )
        days = left or count((authority.expires_at - now).days, "day")
        return Answer(
            "warn", f"The Zone CA will expire in {days}.", "All certificates are in force."
        )
    if standing.operation is not None and standing.operation.activated_at is not None:
        return _after_activation(standing)
    if away := _some_are_away(standing):
        return away
    if standing.open_operation is not None:
        more = "Nothing live has changed yet."
        return Answer("ok", "All right. All certificates are in force.", more)
    return _at_rest(standing)


def _some_are_away(standing: Standing) -> Answer | None:
    if standing.cut_off.number:
        return _some_cut_off(standing)
    return _mobiles_left(standing) if standing.mobiles_to_enrol.all else None


def _some_cut_off(standing: Standing) -> Answer:
    """The certificates are in force, and some devices refuse them."""
    number, names = standing.cut_off.number, [one.name for one in standing.cut_off.first]
    verb = "is" if number == 1 else "are"
    more = f"{_first(names, number)} {'trusts' if number == 1 else 'trust'} no CA of the zone."
    return Answer("warn", f"{count(number, 'device')} {verb} cut off.", more)


def _mobiles_left(standing: Standing) -> Answer:
    """The certificates are in force, and some mobiles have none with which to call."""
    number, links = standing.mobiles_to_enrol.all, standing.mobiles_to_enrol.with_link
    themselves = "itself" if number == 1 else "themselves"
    more = f"{links:,} of {number:,} {'has' if links == 1 else 'have'} a re-enrolment link."
    return Answer("warn", f"{count(number, 'mobile')} cannot come back by {themselves}.", more)


def _first(names: list[str], number: int) -> str:
    rest = number - len(names)
    return f"{', '.join(names)} and {rest:,} more" if rest else listed(names)


def _after_activation(standing: Standing) -> Answer:
    if standing.operation and standing.operation.state == State.ROLLING_BACK:
        return _going_back(standing)
    if away := _some_are_away(standing):
        return away
    left = [device.name for device in standing.unswitched]
    shown = len(standing.progress) - len(left)
    more = f"{shown} of {count(len(standing.progress), 'server')} show their new certificates."
    if left and standing.operation and standing.operation.state == State.OVERLAP:
        shows = "shows its old certificate" if len(left) == 1 else "show their old certificates"
        say = f"The new CA is in force; {listed(left)} still {shows}."
        return Answer("warn", say, f"{more} Late servers switch when they are back.")
    return Answer("ok", "All right. The new CA is in force.", more)


def _going_back(standing: Standing) -> Answer:
    back, servers = standing.how_many("rolled_back_at"), len(standing.progress)
    more = "Devices are carried both ways; no connection breaks."
    if back < servers:
        say = f"{back} of {count(servers, 'server')} show the old certificate again."
        return Answer("warn", say, more)
    return Answer("ok", "All right. The old CA is in force again.", more)


def _at_rest(standing: Standing) -> Answer:
    say, silent = "All right. All certificates are in force.", standing.silent
    if not silent:
        return Answer("ok", say, f"None of {count(standing.devices, 'device')} is silent.")
    verb = "is" if silent == 1 else "are"
    more = f"{silent:,} of {count(standing.devices, 'device')} {verb} silent: {MEANING}."
    return Answer("ok", say, more, more_url=silent_url())


def _happening(standing: Standing) -> Answer:
    operation, lack = standing.operation, missing(standing)
    if operation is None:
        return _nothing_happens(standing)
    if operation.state in (State.CANCELLING, State.CANCEL_FAILED):
        return _taken_back(standing, operation)
    if operation.state == State.ROLLING_BACK:
        back = standing.how_many("rolled_back_at")
        more = f"{back} of {count(len(standing.progress), 'server')} show the old certificate."
        return Answer("warn", f"{operation.get_kind_display()} is being rolled back.", more)
    if operation.is_held and operation.is_open:
        at = short_text(operation.activate_at, now=standing.now)
        more = f"It does not activate at {at}: {operation.held_reason}"
        return Answer("warn", f"{operation.get_kind_display()} is held.", more)
    if operation.activated_at is not None:
        return _switching(standing, operation)
    if lack is not None and operation.state in (State.REPLICATING, State.ASSIGNED):
        waits = f"waits for {count(len(lack.names), 'certificate')}"
        more = f"Activation {planned_text(operation.activate_at)}{_coming(operation, standing)}."
        return Answer("run", f"{operation.get_kind_display()} {waits}.", more)
    return _getting_ready(standing, operation)


def _taken_back(standing: Standing, operation: Operation) -> Answer:
    name = operation.get_kind_display()
    if operation.state == State.CANCEL_FAILED:
        return Answer("warn", f"{name} could not be canceled.", "Nothing live has changed.")
    clean = f"{standing.how_many('cleaned_at')} of {count(len(standing.progress), 'server')}"
    return Answer("run", f"{name} is being canceled.", f"{clean} removed what it left.")


def _getting_ready(standing: Standing, operation: Operation) -> Answer:
    name, planned = operation.get_kind_display(), planned_text(operation.activate_at)
    match operation.state:
        case State.PREPARING:
            server = operation.initiating_server.name
            if operation.is_to_external:
                more = f"{server} makes the system update that carries the new CA."
                return Answer("run", f"{name} is being prepared.", more)
            more = f"{server} makes its key and its certificate."
            return Answer("run", f"{name}: the new CA is being made.", more)
        case State.REPLICATING:
            done = f"{standing.replicas.available} of {standing.replicas.total}"
            more = "Then the update is assigned to all devices by itself."
            return Answer("run", f"{name}: content is being replicated, {done}.", more)
        case State.ASSIGNED:
            ready = standing.ready_percent
            more = f"Activation {planned}{_coming(operation, standing)}. {_who_is_lost(standing)}"
            return Answer("run", f"{name}: {ready} % of devices are ready.", more)
    back = "there is no way back" if operation.is_strict else "afterwards you can roll back"
    more = f"It can no longer be canceled; {back}."
    return Answer("wait", f"{name} activates {planned}.", more)


def _who_is_lost(standing: Standing) -> str:
    """Will it work? As things stand; before the activation the guard looks at the same."""
    number = standing.would_be_lost
    if not number:
        return "As things stand no device is lost."
    return f"As things stand {count(number, 'device')} would be lost."


def _switching(standing: Standing, operation: Operation) -> Answer:
    if operation.state == State.ACTIVATING or operation.activated_at is None:
        done = f"{standing.how_many('activated_at')} of {len(standing.progress)}"
        name = operation.get_kind_display()
        return Answer("run", f"{name} is activating: {done} servers switched.")
    if operation.is_immediate:
        return _coming_back(standing)
    since = coarse(span(standing.now - operation.activated_at))
    left, counted = standing.counts.counted - standing.counts.successful, standing.counts.counted
    have = "has" if left == 1 else "have"
    more = (
        f"{left:,} of {count(counted, 'device')} {have} not completed the update." if left else ""
    )
    more = " ".join(filter(None, [_canceled_since(standing, operation), more]))
    return Answer("ok", f"Overlap, for {since}: both CAs are trusted.", more)


def _canceled_since(standing: Standing, operation: Operation) -> str:
    """Say that a cancel went well where the operation before it is what the pane shows again."""
    last = standing.last_operation
    if last is None or last.state != State.CANCELLED or last.pk < operation.pk:
        return ""
    return f"The {last.get_kind_display()} begun after it is canceled: what it left is removed."


def _coming_back(standing: Standing) -> Answer:
    """Of an Immediate operation: the servers have switched, the devices come after them."""
    stranded = standing.stranded.number
    if stranded:
        return Answer("run", f"{count(stranded, 'device')} must learn the new CA.", _RESCUE)
    return Answer("ok", "Every device knows the new CA.")


_RESCUE = "Those that run come in by the rescue port at their next refresh."


def _coming(operation: Operation, standing: Standing) -> str:
    """Say how far away it is, unless that changes with every second."""
    if operation.activate_at - standing.now < timedelta(hours=1):
        return ""
    return f", {until_text(operation.activate_at, now=standing.now)}"


def _nothing_happens(standing: Standing) -> Answer:
    rehearsal = Rehearsal.objects.filter(zone=standing.zone).open().first()
    if rehearsal is not None:
        more = "Test devices go through a change of the CA. Nothing live changes."
        url = reverse("certificates:rehearsal", args=[rehearsal.pk])
        return Answer("run", "A rehearsal is running.", more, url)
    last = standing.last_operation
    if last is None:
        return Answer("mute", "Nothing is in progress.", "No operation has run in this zone yet.")
    what = f"{last.get_kind_display()}, {state_word(last).lower()}"
    more = f"Last operation: {what}, of {day_text(last.created_at)}."
    return Answer(
        "mute", "Nothing is in progress.", more, reverse("certificates:operation", args=[last.pk])
    )


def _next(standing: Standing, at_risk: AtRisk) -> Answer | None:
    """Return what the certificates need somebody to do, None if nothing."""
    if standing.notice is not None:
        more = "Read the message above, clear it, and cancel again."
        if standing.notice.state == State.FAILED:
            more = "Read the message above and clear it."
        return Answer("warn", "Look at the operation that failed.", more)
    if standing.operation is None:
        return _next_at_rest(standing)
    return _next_in(standing.operation, standing, at_risk)


def _next_in(operation: Operation, standing: Standing, at_risk: AtRisk) -> Answer | None:
    """What somebody must see to comes first, what only has to be known last."""
    if operation.state == State.CANCEL_FAILED:
        return Answer("warn", "Cancel it again.", "Not every server has confirmed yet.")
    return _next_for_servers(operation, standing) or _next_for_devices(operation, standing, at_risk)


def _next_for_servers(operation: Operation, standing: Standing) -> Answer | None:
    if lack := missing(standing):
        return lack.task(standing)
    if outdated := outdated_servers(operation) if operation.is_open else []:
        names = listed([server.name for server in outdated])
        whose = "Its" if len(outdated) == 1 else "Their"
        more = f"{whose} names or addresses have changed since it was made."
        return Answer("next", f"Mend the future certificate of {names}.", more)
    if operation.is_held and operation.is_open:
        return _next_if_held(operation, standing)
    return late_content(standing)


def _next_for_devices(operation: Operation, standing: Standing, at_risk: AtRisk) -> Answer | None:
    if operation.is_immediate and standing.stranded.number:
        say = f"Run the Certificate Updater Tool on {count(standing.stranded.number, 'device')}."
        return Answer("warn", say, "Those that run come back without it; wait for their refresh.")
    if operation.state == State.OVERLAP and standing.needs_backup:
        what = "update key" if operation.is_to_external else "new CA"
        return _back_up(standing, f"Back up the {what}.")
    if operation.activated_at is not None and standing.cut_off.number:
        return _bring_back(standing)
    if operation.activated_at is not None and standing.mobiles_to_enrol.without_link:
        return _make_links(standing)
    if at_risk.number:
        url = reverse("systemupdates:status_by_device", args=[operation.update_id])
        say = f"Look at {count(at_risk.number, 'device')} at risk."
        return Answer("warn", say, at_risk.why, f"{url}?only=at_risk")
    return None


def _in_peace(standing: Standing) -> Answer:
    if standing.operation is not None:
        return _going_on(standing.operation, standing)
    authority = standing.authority
    if authority is None or authority.expires_at is None:
        return Answer("next", "Nothing today.")
    verb, expires = _verb(authority), day_text(authority.expires_at)
    remint_from = day_text(authority.expires_at - EXPIRY_WARNING)
    more = f"{verb} the CA from {remint_from}; it expires on {expires}."
    return Answer("next", "Nothing today.", more)


def _verb(authority: CertificateAuthority) -> str:
    return "Remint" if authority.is_internal else "Renew"


def _going_on(operation: Operation, standing: Standing) -> Answer:
    if operation.state == State.OVERLAP:
        more = "Retire the old CA once no device needs it any more."
        if operation.retires_at is not None:
            on = planned_text(operation.retires_at)
            more = f"The old CA retires by itself on {on} if nobody needs it until then."
        return Answer("next", "Nothing today.", more)
    late = [device.name for device in standing.late_servers]
    verb = "is late; it follows" if len(late) == 1 else "are late; they follow"
    more = f"{listed(late)} {verb} when back." if late else ""
    return Answer("next", "Nothing. It goes on by itself.", more)


def _next_if_held(operation: Operation, standing: Standing) -> Answer:
    expires = operation.old_ca.expires_at
    days = (expires - standing.now).days if expires else 0
    more = f"Waiting harms nobody: the old CA is valid for {count(days, 'more day')}."
    if standing.lost.number:
        people = count(standing.lost.number, "device")
        return Answer("warn", f"Postpone it, or sign off {people}.", more)
    return Answer("warn", "Mend what holds it, postpone it, or cancel it.", more)


def _next_at_rest(standing: Standing) -> Answer | None:
    authority = standing.authority
    expires_at = authority.expires_at if authority else None
    if authority is None or expires_at is None:
        return None
    if standing.ca_server_is_away and authority.server is not None:
        return _start(authority.server.name, is_internal=authority.is_internal)
    verb, expires = _verb(authority), day_text(expires_at)
    if authority.is_expired(standing.now):
        more = f"It expired on {expires}. The new one is active as soon as the servers have it."
        return Answer("warn", f"{verb} the CA now.", more)
    if standing.cut_off.number:
        return _bring_back(standing)
    if standing.mobiles_to_enrol.without_link:
        return _make_links(standing)
    if standing.needs_backup:
        what = "CA" if authority.is_internal else "update key"
        return _back_up(standing, f"Back up the {what}.")
    if expires_at <= standing.now + EXPIRY_WARNING:
        return Answer("warn", f"{verb} the CA.", f"It expires on {expires}.")
    return None


def _start(server: str, *, is_internal: bool) -> Answer:
    """The server that has the zone's keys does not run."""
    if is_internal:
        more = "It has the CA's key: nothing can be issued without it."
        return Answer("bad", f"Start {server}, or restore the CA.", more)
    more = "It signs what devices are told to trust."
    return Answer("bad", f"Start {server}, or restore its keys from a backup.", more)


def _bring_back(standing: Standing) -> Answer:
    """Devices that trust no CA of the zone come back by the tool, and by nothing else."""
    say = f"Run the Certificate Updater Tool on {count(standing.cut_off.number, 'device')}."
    more = "It is on /zenworks-setup of every Primary Server until the update is deleted."
    url = reverse("certificates:who_can_talk")
    return Answer("warn", say, more, url)


def _make_links(standing: Standing) -> Answer:
    say = f"Make re-enrolment links for {count(standing.mobiles_to_enrol.without_link, 'mobile')}."
    more = "With one a mobile gets another identity. Without, it stays away."
    return Answer("warn", say, more, reverse("certificates:mobiles_to_enrol"))


def _back_up(standing: Standing, say: str) -> Answer:
    """Backup first: before and after every operation."""
    authority = standing.authority
    where = authority.server.name if authority and authority.server else ""
    it = "Its key" if authority and authority.is_internal else "It"
    more = f"{it} exists once, on {where}. If that disk fails, it is lost."
    return Answer("warn", say, more, reverse("certificates:backup_ca"))
