"""
Whom this server trusts when it connects to something: the aliases of its trust store, in one file.

PostgreSQL's and Redis' clients take a file and read it at each connection, so what is added to the
store counts from the next one on.
"""

from agent import pem
from agent.home import Home

BUNDLE = "security/trust-store.pem"


def write_bundle(home: Home) -> None:
    """Let the bundle hold what the trust store holds, each certificate once."""
    found: dict[str, bytes] = {}
    for path in sorted((home.path / "security/trust-store").glob("*.pem")):
        for certificate in pem.split(path.read_bytes()):
            found[pem.fingerprint(certificate)] = certificate
    home.write_file(BUNDLE, pem.join(found.values()))
