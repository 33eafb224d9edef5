"""
What a server offers at /zenworks-setup: the agent, and the line to join with.

Plain files in the home's `zenworks-setup/`, served by the listener without Django: a device that
has lost its trust must get them.
"""

import hashlib

from django.template.loader import render_to_string

from agent import package
from agent.home import Home
from certificates.models import CertificateAuthority
from certificates.models.authority import State
from devices.models import Zone
from pki.describe import with_colons
from zcc.ground import here

FOLDER = "zenworks-setup"
STYLE = "certificates/zenworks_setup.css"  # the listener serves no other static files


def write(zone: Zone, *, home: Home) -> None:
    """Write the page and the agent into the home; what is unchanged is not touched."""
    active = CertificateAuthority.objects.filter(zone=zone, state=State.ACTIVE).first()
    if active is None:
        return
    agent = package.contents()
    page = render_to_string(
        "certificates/zenworks_setup.html",
        {
            "zone": zone,
            "address": here.identity(home.path.name).address,
            "fingerprint": with_colons(active.sha256),
            "agent_sha256": hashlib.sha256(agent).hexdigest(),
        },
    )
    home.write_file(f"{FOLDER}/agent.pyz", agent)
    home.write_file(f"{FOLDER}/setup.css", render_to_string(STYLE).encode())
    home.write_file(f"{FOLDER}/index.html", page.encode())
