"""Odd certificates by the thousand through `Import Certificate`: a sentence each, none imported."""

import tarfile
import time

import pytest

from certificates import importing
from certificates.models import ServerCertificate
from tests.pki.test_imports_sweep import CORPUS, SECONDS


def test_corpus(external, alice, now):
    if not CORPUS.exists():
        pytest.skip("certificates-corpus.tgz is not beside the repository")
    with tarfile.open(CORPUS) as archive:
        members = [one for one in archive if one.isfile() and "/files/" in one.name]
        files = [(one.name, archive.extractfile(one).read()) for one in members]
    late, odd = [], []

    for file in files:
        begun = time.process_time()
        verdicts = importing.import_files(external.operation, [file], by=alice, now=now)
        if time.process_time() - begun > SECONDS:
            late.append(file[0])
        odd += [one for one in verdicts if one.word == "Imported" or not one.text.endswith(".")]

    assert len(files) > 1900
    assert (late, odd) == ([], [])
    assert not ServerCertificate.objects.filter(state="future").exists()
