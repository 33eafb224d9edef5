"""What is shipped, and what the environment changes."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from zcc import settings

ROOT = Path(__file__).parents[2]


def printed(expression, tmp_path, **environment):
    """Return what `expression` is in a process that starts with this environment."""
    shipped = {name: text for name, text in os.environ.items() if not name.startswith("ZCC_")}
    for name in ("DATABASE_URL", "REDIS_URL"):
        shipped.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", f"from zcc import settings; print({expression})"],
        env={**shipped, "ZCC_HOME": str(tmp_path), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_cancel_ends_ten_minutes_before_activation_as_shipped(tmp_path):
    assert printed("settings.ZCC_CANCEL_CUTOFF", tmp_path) == "0:10:00"
    assert printed("settings.ZCC_LATE_AFTER", tmp_path) == "0:01:00"
    assert printed("settings.ZCC_CANCEL_TIMEOUT", tmp_path) == "0:05:00"


def test_cancel_cutoff_can_be_shortened_in_seconds(tmp_path):
    cutoff = printed("settings.ZCC_CANCEL_CUTOFF", tmp_path, ZCC_CANCEL_CUTOFF="20")

    assert cutoff == str(timedelta(seconds=20))


def test_nothing_that_needs_the_secret_key_starts_without_it(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failure:
        printed(
            "__import__('django.conf').conf.settings.SECRET_KEY",
            tmp_path,
            DJANGO_SETTINGS_MODULE="zcc.settings",
        )

    assert "The SECRET_KEY setting must not be empty" in failure.value.stderr


def test_postgresql_url_is_read():
    database = settings._database("postgres://u%40x:p%2Fw@db.test:5433/zone?sslmode=verify-full")

    assert [database[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")] == [
        "zone",
        "u@x",
        "p/w",
        "db.test",
        "5433",
    ]
    assert database["OPTIONS"] == {"connect_timeout": 5, "sslmode": "verify-full"}


def test_postgresql_url_with_a_socket_is_read():
    database = settings._database("postgres://zcc@/zone?host=/run/postgresql")

    assert (database["HOST"], database["USER"], database["PORT"]) == ("/run/postgresql", "zcc", "")


def test_sqlite_is_the_default_and_safe_at_a_power_cut(tmp_path):
    database = settings._database(f"sqlite:///{tmp_path}/zone.sqlite3")

    assert database["NAME"] == f"{tmp_path}/zone.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in database["OPTIONS"]["init_command"]


def test_other_databases_are_refused():
    with pytest.raises(ValueError, match="DATABASE_URL begins with"):
        settings._database("mysql://localhost/zone")


def test_socket_of_the_broker_is_short_however_deep_the_home_is(tmp_path):
    deep = tmp_path / ("a" * 60) / ("b" * 60)

    shallow_socket = printed("settings.BROKER_SOCKET", Path("/srv/zcc"))
    deep_socket = printed("settings.BROKER_SOCKET", deep)

    assert shallow_socket == "/srv/zcc/run/valkey.sock"
    assert len(deep_socket) < 108
    assert deep_socket == printed("settings.BROKER_SOCKET", deep)


def test_postgresql_is_verified_by_the_servers_own_trust_store(tmp_path):
    bundle = tmp_path / "servers/ps1/security/trust-store.pem"
    bundle.parent.mkdir(parents=True)
    bundle.touch()
    asked = {"ZCC_SERVER": "ps1", "DATABASE_URL": "postgres://db.test/zone?sslmode=verify-full"}

    options = "settings.DATABASES['default']['OPTIONS']['sslrootcert']"
    assert printed(options, tmp_path, **asked) == str(bundle)


def test_redis_over_tls_is_always_verified(tmp_path):
    asked = printed("settings.CELERY_BROKER_USE_SSL", tmp_path, REDIS_URL="rediss://broker.test")

    assert "CERT_REQUIRED" in asked
