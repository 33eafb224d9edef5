"""Actions in a child process that is killed at a named place."""

import os
import signal
import traceback

from agent import faults


def in_child(action):
    """Call `action` in a child process; return how that ended: 0, 1 or minus the signal."""
    child = os.fork()
    if child == 0:
        status = 1
        signal.alarm(30)
        faults.forget()
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def was_killed(action, fault):
    def with_fault():
        os.environ["ZCC_FAULTS"] = fault
        action()

    ended = in_child(with_fault)
    assert ended in (0, -signal.SIGKILL)
    return ended != 0
