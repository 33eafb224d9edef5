"""TLS clients that are not ours: what they say of a port when they trust only the CAs in a file."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

JAVA_SOURCE = Path(__file__).with_name("Accepts.java")
HANDSHAKE = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with socket.create_connection((sys.argv[2], int(sys.argv[3])), 10) as plain:
    context.wrap_socket(plain, server_hostname=sys.argv[2]).close()
"""
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def run(*words, data=""):
    """Return nothing if the program says that all is well, otherwise what it says."""
    done = subprocess.run(
        [str(word) for word in words], input=data, text=True, capture_output=True, timeout=60
    )
    return "" if done.returncode == 0 else f"{words[0]}: {done.stdout}{done.stderr}"


def curl(trust, address, port):
    return run("curl", "-sS", "-o", "/dev/null", "--cacert", trust, f"https://{address}:{port}/")


def python(trust, address, port):
    return run(sys.executable, "-c", HANDSHAKE, trust, address, port)


def python_strict(trust, address, port):
    """Python 3.13, whose default context has VERIFY_X509_STRICT."""
    return run("python3.13", "-c", HANDSHAKE, trust, address, port)


def gnutls(trust, address, port):
    return run("gnutls-cli", "--x509cafile", trust, "--port", port, address)


def java(*triples):
    """Java starts slowly, so it is asked about many (trust, address, port) at once."""
    return run("java", JAVA_SOURCE, *(word for triple in triples for word in triple))


def refusals(trusts, places):
    """Return what any client here says against any of the places, with any of the trusts."""
    triples = [(trust, *place.split(":")) for trust in trusts for place in places]
    found = [client(*triple) for triple in triples for client in available()]
    if "java" in names():
        found.append(java(*triples))
    return [refusal for refusal in found if refusal]


def available():
    known = {"curl": curl, "python3.13": python_strict, "gnutls-cli": gnutls}
    return [python, *(client for name, client in known.items() if name in names())]


def names():
    """Return which of the programs are on this machine and work."""
    return {
        name
        for name in ("curl", "python3.13", "gnutls-cli", "java")
        if shutil.which(name) and not run(name, "--version")
    }


def shown_chain(place):
    """Return the certificates that a port sends, leaf first, as PEM."""
    words = ["openssl", "s_client", "-showcerts", "-connect", place]
    done = subprocess.run(words, input="", text=True, capture_output=True, timeout=30)
    return PEM.findall(done.stdout)
