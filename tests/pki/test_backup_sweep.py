"""Files that are no backup, by the thousand: `Restore CA` refuses each in a sentence, at once."""

import time

import pytest

from pki import backup
from tests.pki import odd_files
from tests.pki.odd_files import SECONDS


@pytest.mark.parametrize("source", [odd_files.of_the_corpus, odd_files.of_the_vectors])
def test_no_other_file_is_taken_for_a_backup(source):
    answers = []

    for name, data in source():
        begun = time.process_time()
        with pytest.raises(backup.NotABackup) as refusal:
            backup.read(data, "correct horse battery")
        answers.append((str(refusal.value), time.process_time() - begun, name))

    assert {said for said, _, _ in answers} == {str(backup.NotABackup())}
    assert [name for _, took, name in answers if took > SECONDS] == []
