"""
Odd certificate files by the thousand: of public test suites, and of cryptography_vectors.

The former lie beside the repository and are no part of it; without them their tests are skipped.
"""

import importlib.util
import tarfile
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[2] / "../shared/reference/certificates-corpus.tgz"
SECONDS = 2.0  # of CPU: no upload may take longer, which the machine's load must not decide
_ENDINGS = {".pem", ".der", ".crt", ".p7b", ".cer"}


def of_the_corpus():
    """Return name and content of each of its files."""
    if not CORPUS.exists():
        pytest.skip("certificates-corpus.tgz is not beside the repository")
    with tarfile.open(CORPUS) as archive:
        members = [one for one in archive if one.isfile() and "/files/" in one.name]
        found = [(one.name, archive.extractfile(one).read()) for one in members]
    assert len(found) > 1900
    return found


def of_the_vectors():
    """Return name and content of each certificate file of the package."""
    package = importlib.util.find_spec("cryptography_vectors")
    if package is None:
        pytest.skip("the package cryptography_vectors is not installed")
    paths = sorted(Path(package.origin).parent.rglob("*"))
    found = [(str(path), path.read_bytes()) for path in paths if path.suffix in _ENDINGS]
    assert len(found) > 300
    return found
