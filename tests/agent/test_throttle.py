"""Content is read no faster than allowed."""

import io

from agent.throttle import Throttled


class Line:
    """A line of endless speed, and the time that passes only by sleeping."""

    def __init__(self, rate):
        self.now = 0.0
        source = io.BytesIO(bytes(300_000))
        self.reader = Throttled(source, rate, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds

    def read_all(self):
        total = 0
        while block := self.reader.read(256 * 1024):
            total += len(block)
        return total


def test_so_many_bytes_take_their_time():
    line = Line(rate=100_000)

    assert line.read_all() == 300_000
    assert abs(line.now - 3.0) < 0.001


def test_without_a_rate_nobody_waits():
    line = Line(rate=None)

    assert line.read_all() == 300_000
    assert line.now == 0.0
