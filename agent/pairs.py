"""Whether a private key belongs to a certificate: OpenSSL is asked, as the listener will be."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import tempfile
from pathlib import Path

from agent import files, pem
from agent.held import HomeError


class PairError(HomeError):
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


def shake_hands(chain_pem: bytes, key_der: bytes, *, folder: Path) -> None:
    """
    Let the certificate and its key serve one TLS handshake, in memory.

    Raises PairError if they cannot. `folder` as in `check`.
    """
    chain = check(chain_pem, key_der, folder=folder)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE  # its trust is judged apart
    serve(chain, pem.key(key_der), client, folder=folder)


def serve(chain: bytes, key: bytes, client: ssl.SSLContext, *, folder: Path) -> None:
    """
    Let `chain` and `key`, both PEM, serve one TLS handshake with `client`, in memory.

    Raises PairError if they cannot, or if the client does not accept them.
    """
    wire, answers = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(answers, wire, server_side=False)
    other = _load(chain + key, folder).wrap_bio(wire, answers, server_side=True)
    try:
        for side in (one, other, one, other):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLError as error:
        raise PairError(
            f"No TLS handshake is possible with it ({error.reason or error})."
        ) from error
    shown = one.getpeercert(binary_form=True) or b""
    if hashlib.sha256(shown).hexdigest() != pem.fingerprint(chain):
        raise PairError("A TLS handshake with it shows another certificate.")


def _load(pair: bytes, folder: Path) -> ssl.SSLContext:
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix=".pair-", suffix=files.TEMPORARY
    ) as temporary:
        temporary.write(pair)
        temporary.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(temporary.name)
        return context
