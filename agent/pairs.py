"""Whether a private key belongs to a certificate: OpenSSL is asked, as the listener will be."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from agent import files, pem


class PairError(Exception):
    """Key and certificate do not make a pair. The text is for the user."""


def check(chain_pem: bytes, key_der: bytes, *, folder: Path) -> bytes:
    """
    Return the chain, leaf first, without its self-signed root if that is in it.

    Raises PairError unless the key is the leaf's. Needs `folder` for a moment, for a file that
    nobody else can read.
    """
    try:
        leaf, *issuers = pem.split(chain_pem)
        chain = pem.join([leaf, *(issuer for issuer in issuers if not pem.is_root(issuer))])
        _load(chain + pem.key(key_der), folder)
    except ssl.SSLError as error:
        raise PairError(
            "The key does not belong to the certificate, or one of them is damaged"
            f" ({error.reason or error})."
        ) from error
    except ValueError as error:
        raise PairError("The certificate cannot be read.") from error
    return chain


def _load(pair: bytes, folder: Path) -> None:
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=".pair-", suffix=files.TEMPORARY
    ) as temporary:
        temporary.write(pair)
        temporary.flush()
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(temporary.name)
