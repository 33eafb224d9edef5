"""Secret files of this host: 0600, made once, never in the database."""

import os
import secrets
from pathlib import Path


def make(path: Path, *, length: int = 48) -> str:
    """Return the secret in `path`, having made it up if it was not there; safe to race."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_urlsafe(length) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(temporary, path)  # unlike a rename, a link does not replace what is there
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text().strip()


def keep(path: Path, secret: str) -> None:
    """Store a secret that came from another server; one that is there already stays."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secret + "\n")
