"""The product's own settings, in a throw-away ZCC_HOME of this test process."""

import atexit
import os
import shutil
import tempfile

_home = tempfile.mkdtemp(prefix="zcc-test-")
_owner = os.getpid()
os.environ["ZCC_HOME"] = _home
# Several test processes may share one Redis.
os.environ["ZCC_BROKER_PREFIX"] = f"zcc-test-{_owner}:"

from zcc.settings import *  # noqa: E402, F403

SECRET_KEY = "only-for-tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@atexit.register
def _remove_home() -> None:
    if os.getpid() == _owner:  # not in the processes that tests fork
        shutil.rmtree(_home, ignore_errors=True)
