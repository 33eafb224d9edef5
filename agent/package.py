"""
The agent as one file that Python runs (a zipapp). The same sources give the same bytes.

Of `pki` it holds what the role authentication needs. Nothing else imports that, so that the file
runs without the cryptography package.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from agent import files

NAME = "agent.pyz"
# They are for simulated mobile devices alone.
LEFT_OUT = {"identity.py", "mobile.py"}
OF_PKI = ("__init__", "chains", "csr", "describe", "imports", "issue", "keys", "names", "stand_ins")
SHEBANG = b"#!/usr/bin/env python3\n"
START = b"from agent.__main__ import main\n\nraise SystemExit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip knows


def build(target: Path) -> Path:
    """Write the zipapp to `target` and return that. Raises OSError."""
    files.write(target, contents(), 0o755)
    return target


def contents(*, start: bytes = START, extra: Mapping[str, bytes] | None = None) -> bytes:
    """Return the zipapp: it begins with `start`, and holds the `extra` members beside the agent."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", start)
        agent = Path(__file__).parent
        for source in sorted(agent.glob("*.py")):
            if source.name not in LEFT_OUT:
                _add(archive, f"agent/{source.name}", source.read_bytes())
        for name in OF_PKI:
            _add(archive, f"pki/{name}.py", (agent.parent / "pki" / f"{name}.py").read_bytes())
        for name, data in sorted((extra or {}).items()):
            _add(archive, name, data)
    return SHEBANG + buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, data)
