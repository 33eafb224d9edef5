"""Odd certificates by the thousand as a trusted root: each gets an answer in a sentence."""

import time
from datetime import UTC, datetime

import pytest

from pki import trusted_root
from tests.pki import odd_files
from tests.pki.odd_files import SECONDS

NOW = datetime.now(UTC)


def answer(data):
    """Return what an upload of this file is told (nothing: accepted), and how long it took."""
    begun = time.process_time()
    try:
        trusted_root.read(data, now=NOW)
    except ValueError as error:
        return str(error), time.process_time() - begun
    return "", time.process_time() - begun


@pytest.mark.parametrize("source", [odd_files.of_the_corpus, odd_files.of_the_vectors])
def test_every_file_gets_a_sentence(source):
    answers = [(name, *answer(data)) for name, data in source()]

    assert [name for name, _, took in answers if took > SECONDS] == []
    said = [(name, said) for name, said, _ in answers if said]
    assert [one for one in said if not one[1].endswith(".") or one[1][0] == " "] == []
