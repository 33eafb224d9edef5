"""
What a server's ports really show: asked with a TLS handshake, not read from rows or files.

Nothing is verified here: the question is which certificate stands there, not whether it is trusted.
"""

import hashlib
import socket
import ssl

CONSOLE_PORT, DEVICE_PORT = 7443, 7444
TIMEOUT = 3.0  # seconds for one handshake
LOOKS = 3  # a listener notices its new certificate at the next connection, so one would do


def shown_leaf(address: str, port: int) -> str | None:
    """Return the SHA-256 of the certificate that the port shows, None if nothing answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=address) as tls,
        ):
            der = tls.getpeercert(binary_form=True)
    except OSError:
        return None
    return hashlib.sha256(der).hexdigest() if der else None


def why_not_shown(address: str, sha256: str) -> str | None:
    """
    Return which port of the server still shows another certificate than `sha256`, None if none.

    A port that does not answer shows nothing: what it shows when it is back is the same file's.
    """
    for _ in range(LOOKS):
        stale = _stale_ports(address, sha256)
        if not stale:
            return None
    ports = " and ".join(str(port) for port in stale)
    return f"Port {ports} of {address} still shows the certificate from before."


def _stale_ports(address: str, sha256: str) -> list[int]:
    ports = (CONSOLE_PORT, DEVICE_PORT)
    return [port for port in ports if shown_leaf(address, port) not in (None, sha256)]
