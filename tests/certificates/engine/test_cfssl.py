"""An external CA made with `cfssl` signs the servers' requests, and takes the zone over."""

import shutil

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates.cfssl import Cfssl
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.importing_stories import (
    bring,
    connect,
    listening,
    pem_of,
    signed,
    start,
)

pytestmark = pytest.mark.skipif(
    shutil.which("cfssl") is None, reason="cfssl is not installed (golang-cfssl)"
)


def test_zone_changes_to_a_ca_of_cfssl_and_strict_clients_accept_its_servers(
    living, homes, tmp_path
):
    cfssl = Cfssl(tmp_path / "cfssl")
    operation = start(living, cfssl)
    files = {f"{name}.pem": pem_of(signed(cfssl, name, operation)) for name in SERVERS}

    verdicts = bring(living, operation, files)
    operation = changing.carry_through(living, operation)

    assert [word for word, _ in verdicts] == ["Imported"] * 3
    assert operation.new_ca.x509() == cfssl.root
    known = {"old": operation.old_ca.x509(), "new": cfssl.root}
    with listening(homes["ps2"]) as port:
        for root in known.values():  # the old one by the link
            trusted = root.public_bytes(Encoding.PEM)
            connect(port, trusted=trusted, name="ps2.test.zone").close()
