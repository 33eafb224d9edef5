"""Odd certificates by the thousand through `Import Certificate`: a sentence each, none imported."""

import time

import pytest

from certificates import importing
from certificates.models import ServerCertificate
from tests.pki import odd_files
from tests.pki.odd_files import SECONDS


@pytest.mark.parametrize("source", [odd_files.of_the_corpus, odd_files.of_the_vectors])
def test_every_file_gets_a_sentence(external, alice, now, source):
    late, odd = [], []

    for file in source():
        begun = time.process_time()
        verdicts = importing.import_files(external.operation, [file], by=alice, now=now)
        if time.process_time() - begun > SECONDS:
            late.append(file[0])
        odd += [one for one in verdicts if one.word == "Imported" or not one.text.endswith(".")]

    assert (late, odd) == ([], [])
    assert not ServerCertificate.objects.filter(state="future").exists()
