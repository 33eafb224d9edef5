"""
What a server offers at /zenworks-setup: the agent, the line to join with, and the Certificate
Updater Tool from the moments the manual names until its update is baselined and deleted.

Plain files in the home's `zenworks-setup/`, served by the listener without Django: a device that
has lost its trust must get them.
"""

import hashlib

from django.template.loader import render_to_string

from agent import VERSION, package
from agent.home import Home
from certificates import updater_tool
from certificates.models import CertificateAuthority, UpdaterTool
from certificates.models.authority import State
from devices.models import Device
from pki.describe import with_colons

FOLDER = "zenworks-setup"
STYLE = "certificates/zenworks_setup.css"  # the listener serves no other static files


def write(server: Device, *, home: Home) -> str:
    """
    Write the page, the agent and the tool that is offered now; what is unchanged is not touched.

    Return the SHA-256 of the tool's file, nothing if none is offered.
    """
    rows = CertificateAuthority.objects.filter(zone=server.zone)
    active = rows.filter(state=State.ACTIVE).first()
    if active is None:
        return ""
    agent, offered = package.contents(), updater_tool.offered_at(server)
    tool = offered if offered and _is_buildable(offered) else None
    page = render_to_string(
        "certificates/zenworks_setup.html",
        {
            "zone": server.zone,
            "server": server,
            "address": server.address,
            "fingerprint": with_colons(active.sha256),
            "agent_sha256": hashlib.sha256(agent).hexdigest(),
            "agent_version": VERSION,
            "tool": tool,
            "future": tool.operation.new_ca if tool else None,
        },
    )
    home.write_file(f"{FOLDER}/agent.pyz", agent)
    home.write_file(f"{FOLDER}/setup.css", render_to_string(STYLE).encode())
    if tool is not None:
        home.write_file(f"{FOLDER}/{tool.file_name}", updater_tool.contents(tool.envelope))
    home.write_file(f"{FOLDER}/index.html", page.encode())
    _withdraw(home, keep=tool.file_name if tool else "")
    return offered.sha256 if offered else ""


def _is_buildable(tool: UpdaterTool) -> bool:
    """Whether the agent here gives the very file that was signed: not while versions differ."""
    return hashlib.sha256(updater_tool.contents(tool.envelope)).hexdigest() == tool.sha256


def _withdraw(home: Home, *, keep: str) -> None:
    """Offer no tool any more but this one."""
    for path in (home.path / FOLDER).glob("crt-*.pyz"):
        if path.name != keep:
            home.remove_file(f"{FOLDER}/{path.name}")
