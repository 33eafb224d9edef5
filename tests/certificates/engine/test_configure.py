"""`manage.py configure -c AddExternalCAToTrustStore [-Z]`, and what it is good for."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command

from agent import pem
from pki import keys
from tests.certificates.engine.conftest import new_server
from tests.certificates.engine.outside import Outside
from zcc.ground import here, outgoing

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def outside():
    return Outside("Partner Root")


@pytest.fixture
def partner(outside, tmp_path):
    path = tmp_path / "partner.crt"
    path.write_bytes(outside.root.public_bytes(Encoding.PEM))
    return path


def configure(file, *, override=False, **options):
    call_command(
        "configure",
        action="AddExternalCAToTrustStore",
        file=str(file),
        override=override,
        **options,
    )


def stored(alias, server="ps1"):
    return here.home(server).read_file(f"security/trust-store/{alias}.pem")


def test_ca_is_added_under_its_alias(living, partner, capsys):
    configure(partner, alias="partner")

    assert stored("partner") == partner.read_bytes()
    assert "is in the trust store as partner." in capsys.readouterr().out
    assert stored("partner", "ps2") is None


def test_without_an_alias_the_common_name_is_one(living, partner):
    configure(partner)

    assert stored("partner-root") == partner.read_bytes()


def test_existing_alias_is_kept_without_z(living, partner, tmp_path, capsys):
    configure(partner, alias="partner")
    other = tmp_path / "other.pem"
    other.write_bytes(Outside("Other Root").root.public_bytes(Encoding.PEM))

    configure(other, alias="partner")

    assert stored("partner") == partner.read_bytes()
    assert "exists already and was kept" in capsys.readouterr().out


def test_existing_alias_is_replaced_with_z(living, partner, tmp_path):
    configure(partner, alias="partner")
    other = tmp_path / "other.der"
    root = Outside("Other Root").root
    other.write_bytes(root.public_bytes(Encoding.DER))

    configure(other, alias="partner", override=True)

    assert stored("partner") == root.public_bytes(Encoding.PEM)


def test_what_was_added_survives_a_remint(living, partner):
    configure(partner, alias="partner")

    living.reach("completed")

    assert stored("partner") == partner.read_bytes()
    bundle = (here.home("ps1").path / outgoing.BUNDLE).read_bytes()
    assert {pem.fingerprint(partner.read_bytes()), living.ca.sha256} == {
        pem.fingerprint(one) for one in pem.split(bundle)
    }


@pytest.mark.parametrize(
    ("content", "alias", "sentence"),
    [
        (b"hello", "partner", "holds no certificate"),
        (None, "partner", "could not be read"),
        (b"leaf", "partner", "is not a CA certificate"),
        (b"root", "../../etc/x", "cannot be an alias"),
        (b"root", "zone-ca-0123", "are the zone's own"),
    ],
)
def test_what_does_not_fit_is_refused(living, outside, tmp_path, content, alias, sentence):
    path = tmp_path / "given.pem"
    known = {b"leaf": outside.leaf(new_server(1))[0], b"root": outside.root}
    if content is not None:
        given = known.get(content)
        path.write_bytes(given.public_bytes(Encoding.PEM) if given else content)

    store = here.home("ps1").path / "security/trust-store"
    before = sorted(store.iterdir())
    with pytest.raises(CommandError, match=sentence):
        configure(path, alias=alias)

    assert sorted(store.iterdir()) == before


def test_missing_file_path_is_asked_for_or_said(living):
    with pytest.raises(CommandError, match="file path is missing"):
        call_command("configure", action="AddExternalCAToTrustStore")


# On the wire


@pytest.fixture
def redis_over_tls(outside, tmp_path):
    """A Redis whose certificate the partner's CA has signed; yields its address."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = new_server(1)
    leaf, key = outside.leaf(server, addresses=["127.0.0.1"])
    (tmp_path / "redis.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (tmp_path / "redis.key").write_bytes(keys.to_pem(key))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"--port 0 --tls-port {port} --tls-auth-clients no --save '' --dir {tmp_path}".split()
    files = ["--tls-cert-file", tmp_path / "redis.pem", "--tls-key-file", tmp_path / "redis.key"]
    anchors = ["--tls-ca-cert-file", tmp_path / "redis.pem"]
    process = subprocess.Popen(
        ["redis-server", *words, *files, *anchors], stdout=subprocess.DEVNULL
    )
    yield f"rediss://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


PING = """
from zcc.celery import app
connection = app.connection()
connection.ensure_connection(max_retries=20, interval_start=0.1, interval_max=0.1)
print(connection.connected)
"""


def ping(address, home):
    """Say what a process of this server gets from its broker: True, or the error."""
    mine = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    environment = {name: text for name, text in os.environ.items() if name not in mine}
    environment |= {"ZCC_HOME": str(home), "ZCC_SERVER": "ps1", "REDIS_URL": address}
    words = [sys.executable, "-c", PING]
    result = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    return result.stdout.strip() or result.stderr.strip().splitlines()[-1]


def test_redis_over_tls_is_trusted_once_its_ca_is_added(living, partner, redis_over_tls, settings):
    before = ping(redis_over_tls, settings.ZCC_HOME)

    configure(partner, alias="partner")

    assert "certificate verify failed" in before
    assert ping(redis_over_tls, settings.ZCC_HOME) == "True"
