"""How a device joins: where this server offers the agent, and the lines to copy to the device."""

import hashlib
import shlex
from functools import cache

from agent import package, pem
from zcc.ground import here, ports


def lines(key: str, *, name: str = "", kind: str = "") -> str:
    """
    Return the lines with which a device joins by the registration key, to be pasted as they are.

    Each goes on only if the one before has worked: a file that is not the agent is never run.
    """
    ca = here.home().read_file("security/ca.cert")
    address = here.identity().address
    options = {
        "--home": "~/zone-agent",
        "--server": ports.device_url(address),
        "--kind": kind,
        "--name": shlex.quote(name) if name else "",
        "--key": key,
        "--fingerprint": pem.fingerprint(ca) if ca else "",
    }
    given = [f"  {option} {value}" for option, value in options.items() if value]
    return " &&\n".join(
        [
            f"curl -fO {ports.setup_url(address)}{package.NAME}",
            f'echo "{_agent_sha256()}  {package.NAME}" | sha256sum -c',
            " \\\n".join([f"python3 {package.NAME} enrol", *given]),
            f"python3 {package.NAME} run --home ~/zone-agent",
        ]
    )


@cache
def _agent_sha256() -> str:
    return hashlib.sha256(package.contents()).hexdigest()
