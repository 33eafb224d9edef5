"""The files of a home one by one, and the lock under which they are read and written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from agent import files, journal
from agent.held import HomeError


class Folder:
    """A home as a folder of files, below its `path`."""

    path: Path

    def write_file(self, relative: str, data: bytes, mode: int = 0o644) -> None:
        """Let the file `relative` to the home hold `data`; written only if it does not yet."""
        path = self._inside(relative)
        with self._settled():
            if files.read(path) != data:
                files.make_folder(path.parent)
                files.write(path, data, mode)

    def write_secret(self, relative: str, data: bytes) -> None:
        """Replace the file `relative` to the home, readable by this user alone."""
        self.write_file(relative, data, 0o600)

    def read_file(self, relative: str) -> bytes | None:
        """Return what the file `relative` to the home holds, None if there is none."""
        return files.read(self._inside(relative))

    def remove_file(self, relative: str) -> None:
        """Remove the file `relative` to the home if it is there."""
        with self._settled():
            files.remove(self._inside(relative))

    @contextlib.contextmanager
    def _settled(self) -> Iterator[None]:
        """Hold the home's lock, after any change that was left half made has been finished."""
        with files.locked(self.path / "lock"):
            journal.finish(self.path)
            yield

    def _inside(self, relative: str) -> Path:
        path = self.path / relative
        if ".." in path.parts or path == self.path or not path.is_relative_to(self.path):
            raise HomeError(f"{relative} is not inside the home.")
        return path

    def _read(self, name: str) -> bytes | None:
        return files.read(self.path / name)

    def _text(self, name: str) -> str | None:
        data = self._read(name)
        return None if data is None else data.decode()
