"""
The zone's CAs in the trust store of the operating system, as an option: logged and reversible.

Only files that begin with PREFIX are ours; nothing else in the store is touched. After each change
the system's own tool is run. Debian and Red Hat families, and macOS.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent import files, pem

PREFIX = "zone-ca-"
SETTING = "system-trust"  # in the device's home; it is there while the option is on
SECONDS = 120.0

Log = Callable[[str], None]


class NoStore(Exception):
    """This system has no trust store that is known here. The text is for the user."""


class StoreError(Exception):
    """The system's tool failed. The text is for the user."""


@dataclass(frozen=True)
class Store:
    """A folder for CA files of one's own, and the command that takes them in."""

    folder: Path
    command: tuple[str, ...]

    def follow(self, anchors: Sequence[bytes], log: Log) -> bool:
        """
        Let the store hold exactly `anchors` (PEM) of the zone; return whether that is new.

        Raises StoreError, and OSError if the folder may not be written.
        """
        wanted = {f"{PREFIX}{pem.fingerprint(anchor)[:16]}.crt": anchor for anchor in anchors}
        mine = {path.name: path for path in self.folder.glob(f"{PREFIX}*.crt")}
        gone = [path for name, path in mine.items() if name not in wanted]
        new = [name for name, data in wanted.items() if files.read(self.folder / name) != data]
        if not gone and not new:
            return False
        for name in new:
            files.write(self.folder / name, wanted[name])
            log(f"System trust: added {self.folder / name}.")
        for path in gone:
            files.remove(path)
            log(f"System trust: removed {path}.")
        self._take_in(log)
        return True

    def _take_in(self, log: Log) -> None:
        words = [*self.command]
        try:
            ended = subprocess.run(
                words, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreError(f"{words[0]} could not be run: {error}.") from error
        if ended.returncode != 0:
            said = " ".join((ended.stderr or ended.stdout).split())[:300]
            raise StoreError(f"{words[0]} failed: {said}")
        log(f"System trust: {words[0]} has taken it in.")


def of_this_system(root: Path = Path("/")) -> Store:
    """
    Return the store of the system under `root`. Raises NoStore.

    Debian: /usr/local/share/ca-certificates, one certificate a file, the name ends in .crt.
    Red Hat: /etc/pki/ca-trust/source/anchors.
    """
    debian, red_hat = root / "usr/sbin/update-ca-certificates", root / "usr/bin/update-ca-trust"
    if debian.exists():
        folder = root / "usr/local/share/ca-certificates"
        return Store(folder, ("update-ca-certificates", "--fresh", *_inside(root, folder)))
    if red_hat.exists():
        return Store(root / "etc/pki/ca-trust/source/anchors", (str(red_hat), "extract"))
    raise NoStore(
        "The trust store of this system is not known here. The zone's CAs are in trust.pem of the "
        "device's home; docs/system-trust.md has the commands for other systems."
    )


def _inside(root: Path, folder: Path) -> tuple[str, ...]:
    """Debian's tool takes other folders for another root."""
    if root == Path("/"):
        return ()
    folders = {
        "certsdir": root / "usr/share/ca-certificates",
        "localcertsdir": folder,
        "etccertsdir": root / "etc/ssl/certs",
        "certsconf": root / "etc/ca-certificates.conf",
        "hooksdir": root / "etc/ca-certificates/update.d",
    }
    return tuple(word for name, path in folders.items() for word in (f"--{name}", str(path)))


def is_on(home: Path) -> bool:
    """Return whether the device's CAs are to be in the system's store."""
    return (home / SETTING).exists()


def switch(home: Path, on: bool, anchors: Sequence[bytes], log: Log, *, store: Store) -> None:
    """Turn the option on or off; off takes out what was put in. Raises StoreError, OSError."""
    store.follow(anchors if on else [], log)
    if on:
        files.write(home / SETTING, b"on\n", 0o600)
    else:
        files.remove(home / SETTING)


def follow(home: Path, anchors: Sequence[bytes], log: Log) -> None:
    """Bring the system's store up to date if the option is on; what fails is logged."""
    if not is_on(home):
        return
    try:
        of_this_system().follow(anchors, log)
    except (NoStore, StoreError, OSError) as error:
        log(f"System trust was not changed. {error}")
