import os
import signal

import pytest

from agent import files
from tests.agent.killing import in_child, was_killed


def test_fault_comes_at_the_place_and_the_time_that_was_asked_for(tmp_path):
    def write_three():
        for name in ("one", "two", "three"):
            files.write(tmp_path / name, b"x")

    assert was_killed(write_three, "file.created:stop:9,file.renamed:kill:2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    files.write(path, b"old")

    def fail():
        os.environ["ZCC_FAULTS"] = "file.written:raise"
        with pytest.raises(OSError, match=r"file\.written"):
            files.write(path, b"new")

    assert in_child(fail) == 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_wish_nothing_happens(tmp_path):
    assert in_child(lambda: files.write(tmp_path / "file", b"x")) == 0
    assert in_child(lambda: os.kill(os.getpid(), signal.SIGKILL)) == -signal.SIGKILL
