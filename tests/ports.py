"""Free ports for listeners that a test starts later."""

import random
import socket

# Below those that the system gives to whoever connects (net.ipv4.ip_local_port_range): between the
# choice and its use no connection of another test takes one of these.
FIRST, LAST = 20_000, 30_000


def free_port(host="127.0.0.1"):
    """Return a port on which nobody listens."""
    for port in random.Random().sample(range(FIRST, LAST), 100):
        try:
            socket.create_server((host, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("100 ports are in use")
