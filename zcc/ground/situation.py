"""
The three answers that Home and Certificates open with.

A view makes them; `{% include "components/_situation.html" with answers=answers %}` shows them in
this order: Is the zone all right? What is happening? What must you do next?
"""

from dataclasses import dataclass

ICONS = {
    "ok": "check-circle-fill",
    "run": "arrow-repeat",
    "wait": "lock-fill",
    "warn": "exclamation-triangle-fill",
    "bad": "x-octagon-fill",
    "mute": "pause-circle",
    "next": "calendar2-check",
}
QUESTIONS = ("Is the zone all right?", "What is happening?", "What must you do next?")


@dataclass(frozen=True)
class Answer:
    """One sentence, one line of detail, and where they lead."""

    family: str
    say: str
    more: str = ""
    url: str = ""
    more_url: str = ""

    @property
    def icon(self) -> str:
        return ICONS[self.family]


@dataclass(frozen=True)
class Answers:
    """All three, for `for question, answer in answers.pairs`."""

    all_right: Answer
    happening: Answer
    next: Answer

    @property
    def pairs(self) -> list[tuple[str, Answer]]:
        return list(zip(QUESTIONS, (self.all_right, self.happening, self.next), strict=True))
