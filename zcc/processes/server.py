"""
The supervisor of one Primary Server: its processes, and activation when all else is away.

An armed server must switch at its time also without database and broker. Its worker cannot, so
this process looks at the home once a second; it has no connection to lose.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import connections

from agent.home import Home, HomeError
from certificates import custody
from devices.models import Device
from zcc.ground import here, whereabouts
from zcc.processes import logs, parts
from zcc.processes.tree import Child, Tree

logger = logging.getLogger(__name__)

# The worker, told by the tick, comes first; this is for when neither of them could.
GRACE = timedelta(seconds=2)

Part = Callable[[here.Identity], None]

# In the order of stopping: those who take work first, those whom others need last.
PARTS: dict[str, Part] = {
    "console": parts.console,
    "device_api": parts.device_api,
    "worker": parts.worker,
    "beat": parts.beat,
    "listener": parts.listener,
}
PATIENCE = {"worker": 8.0}


def supervise(name: str) -> None:
    """Run the processes of the server `name` until this process is told to stop."""
    identity = here.identity(name)
    home = here.home(name)
    _repair(home)
    destroy_stray_keys(identity, home)
    tree = Tree()
    tree.stop_on_signals()
    moving = Moving(tree)
    moving.follow(identity)
    try:
        tree.watch(partial(_each_second, moving, home, name))
    finally:
        tree.stop()


class Moving:
    """The processes of a server, which begin anew when its host has another address."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.address = tree, ""

    def follow(self, identity: here.Identity) -> None:
        """Let the processes listen where the server is now."""
        address = whereabouts.address(identity)
        if address == self.address:
            return
        if self.address or address != identity.address:
            logger.warning("%s listens at %s now.", identity.name, address)
        self.tree.stop()
        self.address, found = address, replace(identity, address=address)
        self.tree.children = [_child(process, found, rank) for rank, process in enumerate(PARTS)]


def activate_if_due(home: Home, *, update_key: bytes, now: datetime) -> bool:
    """Switch to the staged certificate if a signed go-ahead says that it is time; say if it did."""
    go_ahead = home.armed(update_key)
    if go_ahead is None or now < go_ahead.activate_at + GRACE:
        return False
    return home.activate(go_ahead.operation)


def destroy_stray_keys(identity: here.Identity, home: Home) -> None:
    """
    Destroy keys that belong on another server, if the CA role moved while this one was away.

    Without its database it is done later, by the worker: what is signed is a row first.
    """
    try:
        server = Device.objects.select_related("zone").get(guid=identity.guid)
        if number := custody.tidy(server, home=home):
            logger.warning("%s lost the CA role: %d keys destroyed.", identity.name, number)
    except Exception:  # whatever it is, the server must come up
        logger.warning("Which keys belong on %s is not known yet.", identity.name, exc_info=True)
    finally:
        connections.close_all()  # no connection may be open in two processes


def _child(process: str, identity: here.Identity, rank: int) -> Child:
    return Child(
        name=f"{identity.name}.{process}",
        run=partial(parts.run, PARTS[process], identity),
        log=here.zcc_home() / "logs" / f"{identity.name}.{process}.log",
        pid_file=here.zcc_home() / "servers" / identity.name / "run" / f"{process}.pid",
        rank=rank,
        patience=PATIENCE.get(process, 5.0),
    )


def _each_second(moving: Moving, home: Home, name: str) -> None:
    update_key = home.read_file(here.UPDATE_KEY)
    try:
        now = datetime.now(UTC) - here.last_skew(name)
        if update_key and activate_if_due(home, update_key=update_key, now=now):
            logger.warning("%s switched without its worker.", name)
    except (HomeError, OSError) as error:
        logger.error("%s could not switch without its worker: %s", name, error)
    try:
        moving.follow(here.identity(name))
    except (OSError, ValueError) as error:  # it goes on where it is
        logger.error("%s does not know its address: %s", name, error)
    for child in moving.tree.children:
        logs.rotate(child.log)


def _repair(home: Home) -> None:
    """Finish what a kill -9 interrupted, before anything is served."""
    try:
        home.repair()
    except (HomeError, OSError):
        logger.exception("The server's home could not be put in order.")
