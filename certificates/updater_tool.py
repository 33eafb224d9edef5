"""
The Certificate Updater Tool (CRT) of an operation: what is in it, and which server offers it.

It is desired state like the trust manifest: the signing server signs it anew when it should say
something else, and each Primary Server's home holds the file as long as it is to be offered there.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from agent import package, updater
from agent.home import Home
from certificates import keys, trust
from certificates.models import CertificateAuthority, Operation, UpdaterTool
from certificates.models.operation import State
from devices.models import Device, Zone
from pki import manifest
from systemupdates.models.update import State as UpdateState
from zcc.ground.ports import device_url, setup_url

# Nobody is helped by the tool of an operation that was, or is being, taken back.
_TAKEN_BACK = (
    State.CANCELLING,
    State.CANCEL_FAILED,
    State.CANCELLED,
    State.ROLLING_BACK,
    State.ROLLED_BACK,
    State.FAILED,
)
# "The standalone tool will not be available when the update is baselined and deleted." (manual)
_OFFERED = (
    UpdateState.CREATED,
    UpdateState.REPLICATING,
    UpdateState.ASSIGNED,
    UpdateState.BASELINED,
)
_EVERYWHERE = (UpdateState.ASSIGNED, UpdateState.BASELINED)
START = b"from agent.updater import main\n\nraise SystemExit(main())\n"


def operation_of(zone: Zone) -> Operation | None:
    """Return the newest operation if there is to be a tool of it."""
    rows = Operation.objects.filter(zone=zone, update__state__in=_OFFERED)
    rows = rows.exclude(state__in=_TAKEN_BACK).exclude(new_ca=None)
    return rows.select_related("zone", "update", "new_ca").order_by("pk").last()


def _says(operation: Operation) -> dict[str, Any]:
    """Return what the tool's package should say now, without time and epoch."""
    new_ca = operation.new_ca
    assert new_ca is not None  # operation_of found one that has it
    is_over = operation.is_strict and operation.activated_at is not None
    trusted = CertificateAuthority.objects.filter(zone=operation.zone).trusted()
    anchors = [ca for ca in trusted if ca.pk != new_ca.pk and not is_over]
    servers = Device.objects.filter(zone=operation.zone).active().primary_servers()
    return {
        "version": 1,
        "zone": str(operation.zone.guid),
        "zone_name": operation.zone.name,
        "operation": str(operation.guid),
        "update": str(operation.update.guid),
        "anchors": [trust.anchor_pem(ca) for ca in [*anchors, new_ca]],
        "new_anchor": new_ca.sha256,
        "activated": operation.activated_at is not None,
        "servers": [device_url(server.address) for server in servers.order_by("name")],
    }


def _digest(says: dict[str, Any]) -> str:
    parts = [says, _agent_digest()]  # a new agent, a new tool
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _agent_digest() -> str:
    """The agent's own files do not change while a process runs."""
    return hashlib.sha256(package.contents()).hexdigest()


def is_due(zone: Zone) -> bool:
    """Whether the tool is to be made, or to be made anew."""
    operation = operation_of(zone)
    if operation is None:
        return False
    known = UpdaterTool.objects.filter(operation=operation).first()
    return known is None or known.digest != _digest(_says(operation))


def make(zone: Zone, *, home: Home, now: datetime) -> None:
    """Sign the tool's package on the signing server if that is due. Raises KeyUnavailable."""
    operation = operation_of(zone)
    if operation is None or not is_due(zone):
        return
    says, published = _says(operation), trust.published(zone)
    payload = {
        **says,
        "made_at": trust.instant(now.replace(microsecond=0)),
        "epoch": published.epoch if published else 0,
    }
    envelope = manifest.sign(payload, keys.load_update_key(home, zone), domain=updater.PREFIX)
    file = contents(envelope.decode())
    UpdaterTool.objects.update_or_create(
        operation=operation,
        defaults={
            "envelope": envelope.decode(),
            "digest": _digest(says),
            "sha256": hashlib.sha256(file).hexdigest(),
            "size": len(file),
            "made_at": now,
        },
    )


def contents(envelope: str) -> bytes:
    """Return the tool as one file that Python runs."""
    extra = {f"agent/{updater.MEMBER}": envelope.encode()}
    return package.contents(start=START, extra=extra)


@dataclass(frozen=True)
class Offer:
    """The tool of the newest operation, and which servers offer it now."""

    operation: Operation
    tool: UpdaterTool

    def at(self, server: Device) -> UpdaterTool | None:
        """The initiating server has it from its making on, the others from the assignment."""
        update, initiating = self.operation.update, self.operation.initiating_server_id
        is_everywhere = update.state in _EVERYWHERE or self.operation.activated_at is not None
        return self.tool if is_everywhere or initiating == server.pk else None


def offer(zone: Zone) -> Offer | None:
    """Return what the servers of the zone offer, None if there is no tool."""
    operation = operation_of(zone)
    if operation is None:
        return None
    tool = UpdaterTool.objects.filter(operation=operation).select_related("operation").first()
    return Offer(operation, tool) if tool is not None else None


def offered_at(server: Device) -> UpdaterTool | None:
    """Return the tool that this server offers now, None if it offers none."""
    found = offer(server.zone)
    return found.at(server) if found is not None else None


@dataclass(frozen=True)
class Shown:
    """The tool as the console shows it: where to get it, and what to compare."""

    tool: UpdaterTool
    url: str

    @property
    def lines(self) -> str:
        """What brings a device back, to be pasted there; a file that is not the tool is not run."""
        name = self.tool.file_name
        return (
            f"curl -fO {self.url} &&\n"
            f'echo "{self.tool.sha256}  {name}" | sha256sum -c &&\n'
            f"python3 {name} --home ~/zone-agent"
        )


def reachable(zone: Zone, *, now: datetime) -> Shown | None:
    """Return the tool at a Primary Server that reports and offers it, None if there is none."""
    if (found := offer(zone)) is None:
        return None
    servers = Device.objects.filter(zone=zone).active().primary_servers().order_by("name")
    offering = [server for server in servers.select_related("heartbeat") if found.at(server)]
    offering.sort(key=lambda server: not server.is_alive(now))
    if not offering:
        return None
    return Shown(found.tool, setup_url(offering[0].address) + found.tool.file_name)


def shown(operation: Operation) -> Shown | None:
    """Return the operation's tool and where its initiating server offers it, None if it is not."""
    newest = operation_of(operation.zone)
    tool = UpdaterTool.objects.filter(operation=operation).select_related("operation").first()
    if tool is None or newest is None or newest.pk != operation.pk:
        return None
    return Shown(tool, setup_url(operation.initiating_server.address) + tool.file_name)
