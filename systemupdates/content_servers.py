"""Who holds update content: settings, servers that are left out, and `Replicate now`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from devices.actions import ask_refresh
from devices.models import Device, Kind, Zone
from systemupdates import actions
from systemupdates.models import ExcludedServer, Replication, ReplicationSettings
from systemupdates.models import replication as replications
from systemupdates.rounds import next_round
from zcc.ground import audit
from zcc.templatetags.times import span


class NotPossible(Exception):
    """It cannot be done; the message is for the user."""


@dataclass(frozen=True)
class Row:
    """A content server as the page shows it."""

    server: Device
    held: int
    offered: int
    is_excluded: bool
    why_not: str  # it cannot be excluded, or included


def rows(zone: Zone) -> list[Row]:
    """Return every content server of the zone: Primary Servers first, by name."""
    servers = Device.objects.filter(zone=zone).active().content_servers()
    held = Count("replications", filter=Q(replications__state=replications.State.AVAILABLE))
    found = servers.annotate(held=held, offered=Count("replications"))
    excluded = set(ExcludedServer.objects.values_list("server", flat=True))
    ordered = sorted(found, key=lambda server: (not server.is_primary_server, server.name))
    return [
        Row(
            server,
            server.held,
            server.offered,
            server.pk in excluded,
            "" if server.pk in excluded else _why_not_excluded(server, ordered, excluded),
        )
        for server in ordered
    ]


def excluded_names(zone: Zone) -> list[str]:
    """Return the names of the content servers that no update waits for."""
    servers = Device.objects.filter(zone=zone).active().content_servers()
    left_out = servers.exclude(excluded_server=None).order_by("name")
    return list(left_out.values_list("name", flat=True))


def _why_not_excluded(server: Device, servers: Iterable[Device], excluded: set[int]) -> str:
    """The others must still have somebody to fetch from: a Primary Server."""
    others = [
        other
        for other in servers
        if other.is_primary_server and other.pk != server.pk and other.pk not in excluded
    ]
    if server.is_primary_server and not others:
        return f"{server.name} is the only Primary Server that is included. Include another first."
    return ""


@transaction.atomic
def exclude(server: Device, *, by: Any, now: datetime) -> None:
    """Let the server fetch no content, and no update wait for it. Raises NotPossible."""
    Zone.objects.select_for_update().get(pk=server.zone_id)
    servers = Device.objects.filter(zone=server.zone_id).active().content_servers()
    if not servers.filter(pk=server.pk).exists():
        raise NotPossible(f"{server.name} is no content server.")
    excluded = set(ExcludedServer.objects.values_list("server", flat=True))
    primaries = servers.filter(kind=Kind.PRIMARY_SERVER)
    if why_not := _why_not_excluded(server, primaries, excluded):
        raise NotPossible(why_not)
    _, is_new = ExcludedServer.objects.get_or_create(server=server)
    if is_new:
        audit.record("Excluded from content replication", server, by=by, at=now)
    Replication.objects.filter(server=server, claim_id=None).missing().delete()


@transaction.atomic
def include(server: Device, *, by: Any, now: datetime) -> None:
    """Let the server take part in replication again, from the next round on."""
    Zone.objects.select_for_update().get(pk=server.zone_id)
    deleted, _ = ExcludedServer.objects.filter(server=server).delete()
    if deleted:
        audit.record("Included in content replication", server, by=by, at=now)
    actions.add_content_server(server, now=now)


@transaction.atomic
def replicate_now(row: Replication, *, by: Any, now: datetime) -> None:
    """Let the server look for this content at once. Raises NotPossible when it holds it."""
    waiting = Replication.objects.filter(pk=row.pk).missing()
    if not waiting.update(due_at=now):
        raise NotPossible(f"{row.server.name} holds the content already.")
    audit.record("Replicate now", row.server, by=by, at=now, note=row.update.name)
    ask_refresh(Device.objects.filter(pk=row.server_id), now=now)


@transaction.atomic
def save_settings(
    zone: Zone,
    *,
    interval: timedelta | None,
    fixed_times: list[str],
    throttle: int | None,
    by: Any,
    now: datetime,
) -> None:
    """Keep when content servers look for content, and how fast they fetch; it holds at once."""
    before = settings_text(zone)
    if interval is not None:
        Zone.objects.filter(pk=zone.pk).update(replication_interval=interval)
        zone.replication_interval = interval
    ReplicationSettings.objects.update_or_create(
        zone=zone, defaults={"fixed_times": sorted(fixed_times), "throttle": throttle}
    )
    after = settings_text(zone)
    audit.record("Content replication", zone, by=by, at=now, before=before, after=after)
    waiting = Replication.objects.filter(update__zone=zone, state=replications.State.WAITING)
    waiting.filter(due_at__gt=now).update(due_at=next_round(zone, after=now))


def settings_text(zone: Zone) -> str:
    """Return what is set now, as the audit log tells it."""
    row = ReplicationSettings.objects.filter(zone=zone).first()
    times = row.fixed_times if row else []
    when = f"at {', '.join(times)}" if times else f"every {span(zone.replication_interval)}"
    return f"{when}, {row.throttle} kB a second" if row and row.throttle else when
