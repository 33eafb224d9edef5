"""
What the console's pages say of each device and server, read from their HTML.

A fact is a key, (kind, name) or (kind, name, update), and a value that the database can be asked
for, too. Every page of an operation is here that says how somebody stands.
"""

import html
import re
from datetime import datetime

ZONE = "zone"  # in place of a name: of all together
_ROW = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.DOTALL)
_NAME = re.compile(r'<a\b[^>]*\bclass="z-name"[^>]*>([^<]+)</a>')
_STATUS = re.compile(r'class="z-status is-\w+">.*?<span>([^<]*)', re.DOTALL)
_TIME = re.compile(r'<time\b[^>]*\bdatetime="([^"]+)"')
_FINGERPRINT = re.compile(r'title="((?:[0-9A-F]{2}:){31}[0-9A-F]{2})"')
_SHA1 = re.compile(r'title="((?:[0-9A-F]{2}:){19}[0-9A-F]{2})"')
_COPIED = re.compile(r'data-copy="([^"]+)" aria-label="Copy SHA-256')
_IN_USE = ("Active", "Expired")


def status_by_device(page, update):
    """Each row: how far the device has come, how many CAs it trusts, its last contact."""
    facts = {}
    for row in _rows(page):
        name = _name(row)
        facts["update", name, update] = _status(_cell(row, "Update Status"))
        facts |= _common(row, name)
    return facts


def devices(page):
    """The list of devices: the newest update that is assigned, the CAs, the last contact."""
    facts = {}
    for row in _rows(page):
        name = _name(row)
        facts["newest", name] = _status(_cell(row, "Certificate update"))
        facts |= _common(row, name)
    return facts


def updates_of_device(page, name, update):
    """The tab Updates: the status in the head of the update's pane, and whether it is proven."""
    found = re.search(rf'aria-labelledby="update-{update}".*?</section>', page, re.DOTALL)
    if found is None:
        return {("update", name, update): None}
    return {
        ("update", name, update): _status(found[0]),
        ("proven", name, update): "<h3>Proven</h3>" in found[0],
    }


def summary(page, name):
    """The tab Summary: which CAs the device trusts, and its last contact."""
    trusts = re.search(r"<dt>Trusts</dt><dd>(.*?)</dd>", page, re.DOTALL)[1]
    return {
        ("anchors", name): frozenset(_plain(found) for found in _FINGERPRINT.findall(trusts)),
        ("trusts", name): int(trusts.split()[0]),
        ("contact", name): _instant(re.search(r"<dt>Last contact</dt>.*?</dd>", page)[0]),
    }


def certificates_of_device(page, name):
    """The tab Certificates: the CAs it trusts, and the certificate or identity that it shows."""
    trusted, own = page.split('aria-labelledby="oc"', 1)
    facts = {("anchors", name): frozenset(_plain(one) for one in _FINGERPRINT.findall(trusted))}
    shown = [row for row in _ROW.findall(own) if _status(row) in _IN_USE]
    for row in shown:
        kind = "identity" if "Issued By" in row else "current"
        facts[kind, name] = _plain(_FINGERPRINT.search(row)[1])
    return facts


def server_certificates(page):
    """The pane of the servers: the certificate in use, the coming one, and the Update Status."""
    facts, name = {}, ""
    for row in _ROW.findall(page):
        if found := _NAME.search(row):
            name = html.unescape(found[1])
            facts["word", name] = _status(_cell(row, "Update Status"))
            facts["future", name] = None
        elif "Future certificate" in row and (found := _SHA1.search(row)):
            facts["future", name] = found[1]
        elif found := _COPIED.search(row):
            facts["current", name] = _plain(found[1])
    return facts


def system_updates(page, update):
    """The three counts of the update, as long as it is being deployed."""
    for row in _ROW.findall(page):
        found = [re.search(rf'aria-label="([\d,]+) {word}"', row) for word in _COUNTS]
        if f"/{update}/devices/?count=" in row and all(found):  # Deployment History has one of them
            numbers = tuple(int(one[1].replace(",", "")) for one in found)
            return {("counts", ZONE, update): numbers}
    return {}


_COUNTS = ("pending", "successful", "failed")


def operation(page, update):
    """The stacked bar of an operation's own page: how many have completed the update."""
    found = re.search(r'\?status=completed"><b>([\d,]+)</b>', page)
    return {("completed", ZONE, update): int(found[1].replace(",", ""))} if found else {}


def replication(page, update):
    """The dialog `current replication status`."""
    return {("content", _name(row), update): _status(row) for row in _rows(page)}


def content(page, update, sha256):
    """The page Content replication: each server's copy of the update's content."""
    rows = [row for row in _ROW.findall(page) if sha256 and f'title="{sha256}"' in row]
    named = {re.search(r'/devices/\d+/">([^<]+)<', row)[1]: row for row in rows}
    return {("content", html.unescape(name), update): _status(row) for name, row in named.items()}


def _common(row, name):
    return {
        ("trusts", name): int(_cell(row, "Trusts").split()[0]),
        ("contact", name): _instant(_cell(row, "Last contact")),
    }


def _rows(page):
    return [row for row in _ROW.findall(page) if _NAME.search(row)]


def _name(row):
    return html.unescape(_NAME.search(row)[1])


def _cell(row, label):
    return re.search(rf'<td data-label="{label}"[^>]*>(.*?)</td>', row, re.DOTALL)[1]


def _status(part):
    found = _STATUS.search(part)
    return html.unescape(found[1]) if found else None


def _instant(part):
    found = _TIME.search(part)
    return datetime.fromisoformat(found[1].replace("Z", "+00:00")) if found else None


def _plain(fingerprint):
    return fingerprint.replace(":", "").lower()
