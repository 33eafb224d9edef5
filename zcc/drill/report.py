"""What a drill found, line by line; and whether anything was not as it should be."""

from collections.abc import Callable, Iterable

from zcc.drill.wire import Count


class Report:
    """Prints what is found through `say` and keeps what differs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.differences: list[str] = []
        self.handshakes = 0
        self.chapter = ""

    def begin(self, chapter: str) -> None:
        self.chapter = chapter
        self.say(f"\n{chapter}")

    def note(self, sentence: str) -> None:
        self.say(f"  {sentence}")

    def count(self, phase: str, count: Count, *, lost: Iterable[str] = ()) -> None:
        """Tell of a count in which exactly the devices `lost` may be refused, and everywhere."""
        self.handshakes += len(count.made)
        expected = set(lost)
        self._line(phase, f"{len(count.made):5} handshakes", f"{len(count.lost)} lost on the wire")
        if count.refused:
            self.note(f"{'':14}refused: {count.reasons()}")
        self._expect(f"{phase}: lost on the wire", named(count.lost), named(expected))
        self._expect(f"{phase}: refused by some servers only", named(count.partly), named(()))

    def passage(self, phase: str, counts: list[Count], *, lost: Iterable[str] = ()) -> None:
        """Tell of counts while servers switch: nobody else than `lost` may be refused."""
        made = sum(len(count.made) for count in counts)
        self.handshakes += made
        refused = {one.device for count in counts for one in count.refused}
        self._line(phase, f"{made:5} handshakes", f"{len(refused)} refused on the wire")
        self._expect(f"{phase}: refused", named(refused - set(lost)), named(()))

    def compare(self, what: str, page: int | None, wire: int) -> None:
        """Tell of a number that stands on a page, and the same as it was counted."""
        shown = "nothing" if page is None else str(page)
        verdict = "agree" if page == wire else "DIFFER"
        self.note(f"{'':14}{what}: {shown} on the page, {wire} counted; they {verdict}")
        self._expect(what, shown, str(wire))

    def fail(self, sentence: str) -> None:
        self.differences.append(f"{self.chapter}: {sentence}" if self.chapter else sentence)

    def _line(self, phase: str, *facts: str) -> None:
        self.note(f"{phase:14}{', '.join(facts)}")

    def _expect(self, what: str, found: str, expected: str) -> None:
        if found != expected:
            self.fail(f"{what}: {found}, and not {expected}.")


def named(devices: Iterable[str]) -> str:
    """Return the names in order, and that there are none if there are none."""
    return ", ".join(sorted(devices)) or "nobody"
