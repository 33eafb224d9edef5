"""What an event of an operation is called."""

import pytest

from certificates.models import OperationEvent
from certificates.wording import what_happened


@pytest.mark.parametrize(
    ("state", "note", "word", "text"),
    [
        ("assigned", "", "Assigned", ""),
        ("assigned", "Held: ps1 is late.", "Held", "ps1 is late."),
        ("assigned", "Postponed from A to B.", "Postponed", "Postponed from A to B."),
        ("assigned", "1 device signed off: a.", "Signed off", "1 device signed off: a."),
        ("assigned", "Imported the certificates of ps1", "Certificates imported", None),
        ("preparing", "Generate CSR for ps1", "CSR asked for", None),
        ("overlap", "Key destroyed: generation 1.", "Key destroyed", "generation 1."),
        ("cancelled", "", "Canceled", ""),
        ("rolling_back", "Reason: Held: no.", "Rolling back", "Reason: Held: no."),
    ],
)
def test_note_says_it_where_it_is_no_change_of_state(state, note, word, text):
    event = OperationEvent(state=state, note=note)

    assert what_happened(event) == (word, note if text is None else text)
