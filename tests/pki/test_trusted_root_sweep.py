"""
Odd certificates by the thousand, uploaded as a trusted root: each gets an answer, in a sentence.

The files lie beside the repository, or come with the package `cryptography_vectors`; they are not
part of it.
"""

import importlib.util
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pki import trusted_root

NOW = datetime.now(UTC)
CORPUS = Path(__file__).parents[2] / "../shared/reference/certificates-corpus.tgz"
SECONDS = 2.0  # of CPU: no upload may take longer, which the machine's load must not decide


def answer(data):
    """Return what an upload of this file is told (nothing: accepted), and how long it took."""
    begun = time.process_time()
    try:
        trusted_root.read(data, now=NOW)
    except ValueError as error:
        return str(error), time.process_time() - begun
    return "", time.process_time() - begun


def faults(files):
    """Return the files whose answer is no sentence, or late."""
    answers = ((name, *answer(data)) for name, data in files)
    return [
        (name, said, took)
        for name, said, took in answers
        if took > SECONDS or (said and not (said.endswith(".") and said[0] != " "))
    ]


def test_corpus():
    if not CORPUS.exists():
        pytest.skip("certificates-corpus.tgz is not beside the repository")
    with tarfile.open(CORPUS) as archive:
        files = [
            (member.name, archive.extractfile(member).read())
            for member in archive
            if member.isfile() and "/files/" in member.name
        ]

    assert len(files) > 1900
    assert faults(files) == []


def test_cryptography_vectors():
    found = importlib.util.find_spec("cryptography_vectors")
    if found is None:
        pytest.skip("the package cryptography_vectors is not installed")
    folder = Path(found.origin).parent
    files = [
        (str(path), path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".pem", ".der", ".crt", ".p7b", ".cer"}
    ]

    assert len(files) > 300
    assert faults(files) == []
