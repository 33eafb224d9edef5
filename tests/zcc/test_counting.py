"""Counts of many rows are kept for a moment, those of few are not."""

import uuid

from zcc.ground import counting


class Counter:
    """Counts how often it was asked; time passes only here."""

    def __init__(self, number):
        self.key, self.number, self.now, self.asked = uuid.uuid4(), number, 100.0, 0

    def count(self):
        self.asked += 1
        return {"a": self.number, "b": 1}

    def kept(self):
        return counting.kept(self.key, self.count, clock=lambda: self.now)


def test_count_of_few_is_made_anew_each_time():
    few = Counter(number=10)

    assert few.kept() == few.kept() == {"a": 10, "b": 1}
    assert few.asked == 2


def test_count_of_many_is_kept_for_a_moment():
    many = Counter(number=counting.LARGE)
    many.kept()
    many.now += counting.KEPT - 0.1
    many.kept()
    soon = many.asked
    many.now += 0.2
    many.kept()

    assert (soon, many.asked) == (1, 2)


def test_not_more_than_so_many_are_kept():
    for _ in range(counting.MOST + 1):
        Counter(number=counting.LARGE).kept()

    assert len(counting._kept) <= counting.MOST
